"""The feature in a hub: its jobs, subscribers and events play together."""

import asyncio
from typing import Any

import pytest

from signalbox.infra.events import Event, find_events, publish
from tests.criticality.conftest import World


@pytest.mark.timeout(120)
@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_rules_raise_and_silence_is_told(world: World) -> None:
    hub = await world.hub(criticality={"rules": [{"topic": "grid.threshold", "level": 4}]})
    app = await world.app(hub, "lamp")
    registered = await app.call(hub, "/consumers", method="POST", body={"app": "lamp", "interval": "1s"})
    assert registered.status == 200
    context = hub.hub.context
    waiting = asyncio.create_task(app.get(hub, "?wait=20"))
    await context.db.write(publish, Event("grid.threshold", {"line": 3}), now=context.clock.now())
    found: dict[str, Any] = await waiting
    assert (found["level"], found["set_by"]) == (4, "hub")

    async def topics() -> set[str]:
        return {each.topic for each in await context.db.read(find_events, topic="criticality.*", limit=50)}

    async with asyncio.timeout(40):
        while await topics() != {"criticality.raised", "criticality.consumer_silent"}:
            await asyncio.sleep(0.1)
        while "criticality.consumer_back" not in await topics():
            await app.get(hub)
            await asyncio.sleep(0.2)
