"""Commands that ask a running hub."""

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from signalbox.core.errors import NotFoundError, SignalboxError, UnavailableError
from signalbox.gateway.commands import HubRefusedError, build_commands
from tests.gateway.conftest import World
from tests.support.hub import RunningHub


async def said(hub: RunningHub, *words: str, scope: str = "manager") -> str:
    """What a command prints on stdout, or the error that it raises."""
    token = (await hub.token(scope, app="desk")).text
    given = ["--url", hub.url, "--token", token]
    result = await asyncio.to_thread(CliRunner().invoke, build_commands(), [*words, *given])
    if result.exception is not None:
        raise result.exception
    return result.stdout


async def told(hub: RunningHub, *words: str) -> Any:
    return json.loads(await said(hub, *words, "--json"))


async def test_upstreams_are_listed(world: World) -> None:
    hub = await world.hub({"name": "raw"}, {"name": "other", "prefix": "/other"})
    await hub.ask(b"/fine")
    assert [each["name"] for each in await told(hub, "list")] == ["other", "raw"]
    lines = (await said(hub, "list", scope="statistics:read")).splitlines()
    (line,) = [line for line in lines if " raw " in line]
    assert "closed" in line
    assert "0.0%" in line


async def test_an_upstream_is_shown_with_its_servers(world: World) -> None:
    hub = await world.hub({"name": "raw", "limits": [{"by": "ip", "rate": "100/1m"}]})
    await hub.ask(b"/fine")
    assert (await told(hub, "show", "raw"))["name"] == "raw"
    shown = await said(hub, "show", "raw", scope="statistics:read")
    assert world.raw.url in shown
    assert "100/1m" in shown
    with pytest.raises(NotFoundError):
        await said(hub, "show", "nobody")


async def test_a_server_is_probed(world: World) -> None:
    hub = await world.hub({"name": "raw", "probe_path": "/fine"}, {"name": "away", "url": world.raw.refused_url})
    assert (await told(hub, "probe", "raw"))["targets"][0]["status"] == 200
    assert "200" in await said(hub, "probe", "raw")
    with pytest.raises(UnavailableError, match="not every server of away answers"):
        await said(hub, "probe", "away")


async def test_a_breaker_is_closed(world: World) -> None:
    hub = await world.hub({"name": "raw", "breaker": {"minimum_calls": 1}, "retry": {"retries": 0}})
    await hub.ask(b"/garbage")
    assert (await told(hub, "list"))[0]["breaker"]["state"] == "open"
    await said(hub, "reset", "raw")
    assert (await told(hub, "list"))[0]["breaker"]["state"] == "closed"
    assert (await told(hub, "reset", "raw"))["breaker"]["state"] == "closed"


async def test_cached_answers_are_forgotten(world: World) -> None:
    hub = await world.hub({"name": "raw", "cache": {"enabled": True}})
    assert await told(hub, "purge", "raw", "--prefix", "/a") == {"purged": 0}
    assert await said(hub, "purge", "raw") == ""  # what people read goes to stderr
    with pytest.raises(SignalboxError, match="prefix"):
        await said(hub, "purge", "raw", "--prefix", "a")


async def test_what_the_hub_refuses_is_told(world: World) -> None:
    hub = await world.hub()
    with pytest.raises(NotFoundError, match="nope"):
        await said(hub, "probe", "nope")
    with pytest.raises(HubRefusedError, match="manager"):
        await said(hub, "reset", "raw", scope="statistics:read")


@pytest.mark.parametrize(
    ("url", "kind"), [("http://127.0.0.1:1", UnavailableError), ("file:///etc/passwd", HubRefusedError)]
)
def test_a_hub_that_cannot_be_asked(url: str, kind: type[SignalboxError]) -> None:
    result = CliRunner().invoke(build_commands(), ["list", "--url", url, "--token", "x"])
    assert isinstance(result.exception, kind)
    assert url in str(result.exception)
