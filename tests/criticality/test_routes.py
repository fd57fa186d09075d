import asyncio
import json

from tests.criticality.conftest import World
from tests.support.timing import PATIENCE

A = "2026-01-31T10:00:00Z"


async def test_people_see_levels_history_and_consumers(world: World) -> None:
    hub = await world.hub()
    app, reader = await world.app(hub, "a"), await world.app(hub, "r", "user")
    await app.report(hub, 3, A)
    await app.report(hub, 5, "2026-01-31T09:00:00Z", reason="late")
    await app.get(hub)
    (signal,) = await reader.get(hub, "/signals")
    assert (signal["signal"], signal["level"], signal["revision"]) == ("default", 3, 1)
    history = await reader.get(hub, "/history")
    assert [(each["revision"], each["accepted"], each["why"]) for each in history] == [
        (2, False, "older"),
        (1, True, None),
    ]
    first = await reader.call(hub, "/history?limit=1")
    link = (first.value(b"link") or b"").decode()
    assert link.startswith("</api/criticality/history?limit=1&cursor=")
    async with asyncio.timeout(PATIENCE):
        while not (found := await reader.get(hub, "/consumers")):
            await asyncio.sleep(0.05)
        while not (asks := await reader.get(hub, "/asks?app=a")):
            await asyncio.sleep(0.05)
    assert [(each["app"], each["state"], each["revision"], each["requests"]) for each in found] == [("a", "seen", 1, 1)]
    assert [each["asks"] for each in asks] == [1]
    assert await app.get(hub) == {}


async def test_an_app_registers_itself_and_a_manager_everybody(world: World) -> None:
    hub = await world.hub()
    app, manager = await world.app(hub, "a", "criticality:read"), await world.app(hub, "m", "manager")
    made = await app.call(hub, "/consumers", method="POST", body={"app": "a", "interval": "5m"})
    assert (made.status, json.loads(made.body)["interval"], json.loads(made.body)["state"]) == (200, "5m", "unseen")
    other = {"app": "b/c d", "interval": "1h", "muted": True}
    assert (await app.call(hub, "/consumers", method="POST", body=other)).status == 403
    assert json.loads((await manager.call(hub, "/consumers", method="POST", body=other)).body)["state"] == "muted"
    assert (await app.call(hub, "/consumers/b%2Fc%20d", method="DELETE")).status == 403
    assert (await manager.call(hub, "/consumers/b%2Fc%20d", method="DELETE")).status == 204
    assert (await manager.call(hub, "/consumers/nobody", method="DELETE")).status == 404
    for odd in ("/consumers/no%00body", "/consumers/nobody?signal=%00"):
        assert (await manager.call(hub, odd, method="DELETE")).status == 422
    states = {each["app"]: each["state"] for each in await manager.get(hub, "/consumers")}
    assert states == {"a": "unseen", "b/c d": "retired"}
    assert [each["app"] for each in await manager.get(hub, "/consumers?state=retired")] == ["b/c d"]


async def test_wrong_registrations_are_refused(world: World) -> None:
    hub = await world.hub()
    manager = await world.app(hub, "m", "manager")
    for wrong in ({}, {"app": ""}, {"app": "ä"}, {"app": "a", "signal": "history"}):
        assert (await manager.call(hub, "/consumers", method="POST", body=wrong)).status == 422, wrong
    for interval in ("0s", "5", "999999999d"):
        answer = await manager.call(hub, "/consumers", method="POST", body={"app": "a", "interval": interval})
        assert answer.status == 422, interval


async def test_a_manager_sets_levels_by_hand(world: World) -> None:
    hub = await world.hub()
    app, manager = await world.app(hub, "a"), await world.app(hub, "m", "manager")
    body = {"level": 4, "reason": "drill"}
    assert (await app.call(hub, "/signals/default", method="POST", body=body)).status == 403
    made = await manager.call(hub, "/signals/default", method="POST", body=body)
    assert (made.status, json.loads(made.body)) == (200, {"revision": 1, "level": 4})
    told = await app.get(hub)
    assert (told["level"], told["set_by"], told["reason"]) == (4, "app:m", "drill")
    for path, wrong in (("/signals/default", {"level": 9}), ("/signals/default", {}), ("/signals/x%00", body)):
        assert (await manager.call(hub, path, method="POST", body=wrong)).status == 422, wrong
    assert (await manager.call(hub, "/signals/NO", method="POST", body=body)).status == 400


async def test_people_see_levels_over_time_and_who_asked(world: World) -> None:
    hub = await world.hub()
    app, reader = await world.app(hub, "a"), await world.app(hub, "r", "user")
    await app.report(hub, 3, A)
    await app.get(hub)
    (step,) = await reader.get(hub, "/signals/default/steps")
    assert (step["level"], step["set_by"]) == (3, "a")
    assert await reader.get(hub, "/signals/default/steps?since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z") == []
    async with asyncio.timeout(PATIENCE):
        while not (asks := await reader.get(hub, "/asks/apps?signal=default")):
            await asyncio.sleep(0.05)
    assert asks == [{"app": "a", "signal": "default", "asks": 1, "share": 1.0}]
    for wrong in ("since=2026-01-01", "most=0", "since=2020-01-02T00:00:00Z&until=2020-01-01T00:00:00Z"):
        assert (await reader.call(hub, f"/signals/default/steps?{wrong}")).status == 422, wrong
