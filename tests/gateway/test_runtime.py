"""What changes while the hub runs."""

import asyncio

from tests.gateway.conftest import World, recorded
from tests.support.hub import request
from tests.support.timing import PATIENCE, until


async def test_a_reload_changes_upstreams_and_leaves_calls_under_way_alone(world: World) -> None:
    hub = await world.hub({"name": "raw", "read_timeout": PATIENCE})
    url = await world.serve(world.shop)
    settings = hub.hub.settings.model_copy(
        update={
            "gateway": hub.hub.settings.gateway.model_validate(
                {"upstreams": [{"name": "shop", "url": url}], "default": "shop"}
            )
        }
    )
    async with hub.client() as client:
        await client.send(request(b"/slow"))
        await until(lambda: world.raw.calls)
        hub.hub.reload(settings)
        assert (await hub.ask(b"/status/418")).status == 418
        answer = await client.answer()
    assert (answer.status, answer.body) == (200, b"fine\n")
    assert sorted(str(call.upstream) for call in await recorded(hub, 2)) == ["raw", "shop"]


async def test_a_reload_changes_whom_to_believe(world: World) -> None:
    hub = await world.hub()
    said = [(b"X-Forwarded-For", b"198.51.100.1")]
    await hub.ask(b"/x", headers=said)
    assert world.seen.header("x-forwarded-for") == "127.0.0.1"
    trusting = hub.hub.settings.gateway.model_copy(
        update={
            "trusted_proxies": hub.hub.settings.gateway.model_validate(
                {"trusted_proxies": ["127.0.0.1"]}
            ).trusted_proxies
        }
    )
    hub.hub.reload(hub.hub.settings.model_copy(update={"gateway": trusting}))
    await hub.ask(b"/x", headers=said)
    assert world.seen.header("x-forwarded-for") == "198.51.100.1, 127.0.0.1"
    assert [call.client for call in await recorded(hub, 2)] == ["127.0.0.1", "198.51.100.1"]


async def test_without_statistics_nothing_is_recorded(world: World) -> None:
    hub = await world.hub(gateway={"statistics": False})
    assert (await hub.ask(b"/x")).status == 200
    hub.hub.reload(
        hub.hub.settings.model_copy(
            update={"gateway": hub.hub.settings.gateway.model_copy(update={"statistics": True})}
        )
    )
    assert (await hub.ask(b"/y")).status == 200
    await asyncio.sleep(0.05)
    assert [call.path for call in await recorded(hub)] == ["/y"]
