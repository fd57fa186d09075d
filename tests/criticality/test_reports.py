import json
from typing import Any

from tests.criticality.conftest import World

A = "2026-01-31T10:00:00Z"


async def test_a_report_is_answered_with_what_became_of_it(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "p")
    current = {"level": 5, "revision": 1, "changed_at": "2026-01-31T10:00:00.000000Z", "set_by": "p", "reason": "fire"}
    kept = await app.report(hub, 5, A, reason="fire")
    assert kept == {"revision": 1, "accepted": True, "why": None, "current": current}
    assert await app.report(hub, 5, "2026-01-31T11:00:00+01:00") == kept, "the same moment and level"
    late = await app.report(hub, 1, "2026-01-31T09:59:59Z")
    assert late == {"revision": 2, "accepted": False, "why": "older", "current": current}


async def test_wrong_reports_are_refused_with_the_field(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "p")
    bodies: dict[str, list[dict[str, Any]]] = {
        "changed_at": [
            {"level": 3, "changed_at": "2026-01-31T10:00:00"},
            {"level": 3, "changed_at": "2999-01-01T00:00:00Z"},
        ],
        "level": [{"level": 6, "changed_at": A}, {"level": "5", "changed_at": A}, {"level": True, "changed_at": A}],
        "reason": [{"level": 3, "changed_at": A, "reason": "x" * 501}, {"level": 3, "changed_at": A, "reason": "a\0"}],
    }
    for field, wrong in bodies.items():
        for body in wrong:
            answer = await app.call(hub, method="POST", body=body)
            assert answer.status == 422, body
            assert [each["field"] for each in json.loads(answer.body)["errors"]] == [field]
    assert (await app.call(hub, method="POST", body={"level": 3})).status == 422
    assert (await app.call(hub, "/history")).body == b"[]"


async def test_the_longest_reason_is_told(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "p" * 100)
    for number, letter in enumerate(("€", "\x01", '"', "😀")):
        await app.report(hub, 3, f"2026-01-31T10:00:0{number}Z", reason=letter * 500)
        assert (await app.get(hub))["reason"] == letter * 500


async def test_a_key_makes_a_report_repeatable(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "p")
    answers = [
        await app.call(hub, method="POST", body={"level": 3, "changed_at": A}, Idempotency_Key="k") for _ in range(2)
    ]
    assert answers[0].body == answers[1].body
    assert answers[1].value(b"idempotent-replayed") is not None


async def test_what_an_app_has_is_told_apart_from_what_it_was_told(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "a")
    await app.report(hub, 3, A)
    assert (await app.call(hub, "/ack", method="POST", body={"revision": 2})).status == 422
    assert (await app.call(hub, "/ack", method="POST", body={"revision": 0})).status == 422
    assert (await app.call(hub, "/ack", method="POST", body={"revision": 1, "signal": "x"})).status == 422
    assert (await app.get(hub))["revision"] == 1
    assert (await app.call(hub, "/ack", method="POST", body={"revision": 1})).status == 204
    assert await app.get(hub) == {}


async def test_who_has_a_change_is_not_told_of_it(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "a")
    await app.report(hub, 3, A)
    assert (await app.call(hub, "/ack", method="POST", body={"revision": 1})).status == 204
    assert await app.get(hub) == {}


async def test_reports_need_the_scope(world: World) -> None:
    hub = await world.hub()
    app = await world.app(hub, "a", "criticality:read")
    body = {"level": 3, "changed_at": A}
    assert [(await app.call(hub, path, method="POST", body=body)).status for path in ("", "/x")] == [403, 403]
