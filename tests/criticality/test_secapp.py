import json
from typing import Any

from signalbox.criticality import consumer_store
from signalbox.criticality.runtime import CriticalityRuntime
from tests.criticality.conftest import World
from tests.support.hub import Answer, RunningHub

SHARED = "an-old-shared-token"
LEVEL = {"current_status": 5, "Change_at": "2023-09-12T19:53:08Z"}


async def call(hub: RunningHub, *, token: str | None = SHARED, app: str | None = "old", body: Any = None) -> Answer:
    headers = [(b"Token", token.encode())] if token is not None else []
    headers += [(b"App-name", app.encode())] if app is not None else []
    method, content = (b"GET", b"") if body is None else (b"POST", json.dumps(body).encode())
    return await hub.ask(b"/secapp/update", method=method, headers=headers, body=content)


async def test_an_old_client_works_unchanged(world: World) -> None:
    hub = await world.hub(criticality={"shared_tokens": [SHARED]})
    assert (await call(hub)).body == b"{}"
    posted = await call(hub, app="producer", body=LEVEL)
    assert (posted.status, posted.body) == (200, b'{"processed_id":1}')
    told = {"current_status": 5, "status_change_id": 1, "Change_at": "2023-09-12T19:53:08Z"}
    answers = [json.loads((await call(hub, app=app)).body) for app in ("old", "old", "other", "producer")]
    assert answers == [told, {}, told, told]


async def test_each_ask_is_counted_and_a_change_is_heard_between_quick_answers(world: World) -> None:
    hub = await world.hub(criticality={"shared_tokens": [SHARED]})
    for day, level in ((12, 5), (13, 4)):
        body = {"current_status": level, "Change_at": f"2023-09-{day}T00:00:00Z"}
        assert (await call(hub, app="p", body=body)).status == 200
        answers = [json.loads((await call(hub)).body) for _ in range(4)]
        assert [answer.get("current_status") for answer in answers] == [level, None, None, None]
    runtime = next(each.runtime for each in hub.hub.features if each.name == "criticality")
    assert isinstance(runtime, CriticalityRuntime)
    await runtime.counter.flush()
    found = await hub.hub.context.db.read(consumer_store.find_consumer, "old", "default")
    assert found is not None
    assert found.requests == 8


async def test_tokens_of_the_hub_work_too(world: World) -> None:
    hub = await world.hub()
    own, any_app = (
        await hub.token("criticality:write", "criticality:read", app="shop"),
        await hub.token("criticality:read", app=None, any_app=True),
    )
    assert (await call(hub, token=own.text, app="shop", body=LEVEL)).status == 200
    assert (await call(hub, token=own.text, app="somebody else")).body != b"{}"
    assert (await call(hub, token=own.text, app="shop")).body == b"{}", "the token says who it is"
    assert [(await call(hub, token=any_app.text, app=app)).body != b"{}" for app in ("a", "b", "a")] == [
        True,
        True,
        False,
    ]
    assert (await call(hub, token=any_app.text, app="a", body=LEVEL)).status == 403


async def test_wrong_tokens_are_401_and_missing_names_400(world: World) -> None:
    hub = await world.hub(criticality={"shared_tokens": [SHARED]})
    own = await hub.token("criticality:read", "criticality:write", app="shop")
    bodies: list[Any] = [None, LEVEL, {"nonsense": 1}]
    for body in bodies:
        wrong = [None, "", "wrong", SHARED + "x", "sbx_" + "x" * 40]
        assert [(await call(hub, token=token, body=body)).status for token in wrong] == [401] * 5
        for token in (SHARED, own.text):
            assert [(await call(hub, token=token, app=app, body=body)).status for app in (None, "")] == [400] * 2


async def test_times_without_a_zone_are_utc_and_wrong_reports_are_422(world: World) -> None:
    hub = await world.hub(criticality={"shared_tokens": [SHARED]})
    assert (await call(hub, body={**LEVEL, "Change_at": "2023-09-12T19:53:08"})).status == 200
    assert json.loads((await call(hub)).body)["Change_at"] == "2023-09-12T19:53:08Z"
    bodies: list[Any] = [
        {**LEVEL, "current_status": 6},
        {**LEVEL, "current_status": "5"},
        {**LEVEL, "Change_at": "2999-01-01T00:00:00Z"},
        {**LEVEL, "Change_at": "yesterday"},
        {"current_status": 3},
        [],
    ]
    for body in bodies:
        assert (await call(hub, body=body)).status == 422, body


async def test_both_apis_say_the_same(world: World) -> None:
    hub = await world.hub(criticality={"shared_tokens": [SHARED]})
    app = await world.app(hub, "new")
    await call(hub, body=LEVEL)
    assert (await app.get(hub))["level"] == 5
    assert (await call(hub, app="new")).body == b"{}"
    late = await call(hub, body={**LEVEL, "Change_at": "2023-09-12T19:53:07Z"})
    assert late.body == b'{"processed_id":2}'
    assert await app.get(hub) == {}
