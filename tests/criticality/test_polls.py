"""Asks through the real server."""

from tests.criticality.conftest import World


async def test_an_app_is_told_of_a_change_once(world: World) -> None:
    hub = await world.hub()
    producer, consumer = await world.app(hub, "p"), await world.app(hub, "c")
    assert await consumer.get(hub) == {}
    kept = await producer.report(hub, 5, "2026-01-31T10:00:00Z", reason="smoke")
    assert kept == {
        "revision": 1,
        "accepted": True,
        "why": None,
        "current": {
            "level": 5,
            "revision": 1,
            "changed_at": "2026-01-31T10:00:00.000000Z",
            "set_by": "p",
            "reason": "smoke",
        },
    }
    assert await consumer.get(hub) == kept["current"]
    assert await consumer.get(hub) == {}
    assert await producer.get(hub) == kept["current"]
