"""What every kind of channel must do, those included that are yet to be written."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from signalbox.core.registry import Plugin, PluginSettings, discover
from signalbox.notifications.channels import MAX_EXCERPT, PACKAGE, Channel, ChannelError, ChannelKind, ChannelSettings
from signalbox.sandbox.scripted import Reply
from tests.support.channels import (
    HOSTILE,
    LOCAL,
    NOTICE,
    OTHER_CLIENTS,
    Desk,
    HttpWorld,
    World,
    open_channel,
    open_desk,
    open_world,
)
from tests.support.timing import PATIENCE

HOWTO = Path(__file__).parents[2] / "docs/howto/add-a-channel.md"
DOCUMENTED = "ntfy"
"""The kind that ``HOWTO`` shows how to add; it is tried like the shipped ones."""

KINDS = sorted({*discover(PACKAGE), DOCUMENTED})
REMOTE = [kind for kind in KINDS if kind not in LOCAL]
HTTP = [kind for kind in REMOTE if kind not in OTHER_CLIENTS]
over_http = pytest.mark.parametrize("kind", HTTP)
SHORT, TIMEOUT = 0.3, 8.0
"""Seconds after which a channel gives up, and within which it must have; by default it waits for 10."""


@dataclass
class Line:
    """A channel with its world at the other end."""

    world: World
    desk: Desk
    settings: PluginSettings
    channel: Channel

    @property
    def http(self) -> HttpWorld:
        return cast("HttpWorld", self.world)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[Plugin]]:
    """The plug-in of the documentation, found as one that lies in a package is."""
    (source,) = re.findall(r"^```python\n(.*?)^```$", HOWTO.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    folder = tmp_path_factory.mktemp("documented")
    package = folder / "documented_channels"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / f"{DOCUMENTED}.py").write_text(source, encoding="utf-8")
    sys.path.insert(0, str(folder))
    yield discover(package.name)[DOCUMENTED]
    sys.path.remove(str(folder))


@pytest.fixture
def plugin(kind: str, documented: type[Plugin]) -> type[Plugin]:
    return documented if kind == DOCUMENTED else discover(PACKAGE)[kind]


@pytest.fixture
async def world(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[World]:
    async with open_world(kind, tmp_path, caplog) as made:
        yield made


@asynccontextmanager
async def open_line(
    plugin: type[Plugin], world: World, *, url: str | None = None, seconds: float = PATIENCE
) -> AsyncIterator[Line]:
    settings = world.adapt(plugin.example(url or world.url)).model_copy(update={"timeout": seconds})
    kind = cast("ChannelKind", plugin)
    async with open_desk() as desk, open_channel(settings, desk.equipment, kind) as channel:
        yield Line(world, desk, settings, channel)


@pytest.fixture
async def line(plugin: type[Plugin], world: World) -> AsyncIterator[Line]:
    async with open_line(plugin, world) as made:
        yield made


async def test_a_notice_arrives_with_its_text_and_its_id(line: Line) -> None:
    await line.channel.send(NOTICE)
    (arrived,) = await line.world.arrived()
    assert NOTICE.text in arrived
    assert NOTICE.id in arrived


async def test_a_repeat_has_the_same_id(line: Line) -> None:
    await line.channel.send(NOTICE)
    await line.channel.send(NOTICE)
    arrived = await line.world.arrived()
    assert [NOTICE.id in text for text in arrived] == [True, True]


async def test_the_longest_text_is_taken_and_a_longer_one_refused_for_ever(line: Line) -> None:
    longest = line.channel.max_length
    assert longest is not None
    with pytest.raises(ChannelError) as caught:
        await line.channel.send(replace(NOTICE, text="a" * (longest + 1)))
    assert caught.value.permanent
    assert not caught.value.disable
    await line.channel.send(replace(NOTICE, text="a" * longest))
    assert len(await line.world.arrived()) == 1


async def test_hostile_text_is_taken_and_spoils_nothing(line: Line) -> None:
    evil = replace(NOTICE, title=HOSTILE, text=HOSTILE, app=HOSTILE, customer=HOSTILE, metadata={"x": HOSTILE})
    await line.channel.send(evil)
    await line.channel.send(NOTICE)
    arrived = await line.world.arrived()
    assert len(arrived) == 2
    assert NOTICE.text in arrived[1]


async def test_several_are_sent_at_once(line: Line) -> None:
    await asyncio.gather(*(line.channel.send(replace(NOTICE, id=f"msg_{number}")) for number in range(5)))
    assert len(await line.world.arrived()) == 5


@pytest.mark.parametrize("kind", [kind for kind in REMOTE if kind != "rabbitmq"])  # whose own tests try it
async def test_a_server_that_hangs_is_left_after_the_timeout(plugin: type[Plugin], world: World) -> None:
    world.hang()
    async with open_line(plugin, world, seconds=SHORT) as line:
        with pytest.raises(ChannelError) as caught:
            await asyncio.wait_for(line.channel.send(NOTICE), TIMEOUT)
    assert not caught.value.permanent


@pytest.mark.parametrize("kind", REMOTE)
async def test_a_server_that_is_away_is_worth_another_try(plugin: type[Plugin], world: World) -> None:
    async with open_line(plugin, world, url=world.away_url) as line:
        with pytest.raises(ChannelError) as caught:
            await line.channel.send(NOTICE)
    assert not caught.value.permanent
    assert not caught.value.disable


async def test_secrets_show_nowhere_though_the_server_repeats_them(line: Line) -> None:
    line.world.refuse(" ".join(line.world.secrets))
    said = [repr(line.settings), str(line.settings), line.settings.model_dump_json(), repr(line.channel)]
    try:
        said.append(repr(await line.channel.send(NOTICE)))
    except ChannelError as error:
        said += [str(error), repr(error), error.message, error.excerpt]
    said += [repr(call) for call in line.desk.told]
    for secret in line.world.secrets:
        assert not [text for text in said if secret in text]


def test_settings_of_every_kind_take_what_all_channels_have(plugin: type[Plugin]) -> None:
    model = plugin.settings_model
    assert issubclass(model, ChannelSettings)
    assert model.model_config.get("extra") == "forbid"


# -- over HTTP ------------------------------------------------------------------------------------------------------


@over_http
async def test_calls_are_counted_under_the_channels_name(line: Line) -> None:
    await line.channel.send(NOTICE)
    (call,) = line.desk.told
    assert (call.service, call.route) == (f"channel:{line.channel.name}", line.settings.kind)


async def refused(line: Line, reply: Reply) -> ChannelError:
    line.http.app.script(reply)
    with pytest.raises(ChannelError) as caught:
        await line.channel.send(NOTICE)
    assert caught.value.status == reply.status
    return caught.value


@over_http
async def test_statuses_that_may_pass(line: Line) -> None:
    for status in (408, 429, 500, 502, 503, 504):
        error = await refused(line, Reply(status, b"busy", [(b"retry-after", b"7")]))
        assert (error.permanent, error.disable, error.retry_after, error.excerpt) == (False, False, 7, "busy")
    await line.channel.send(NOTICE)


@over_http
async def test_statuses_that_would_be_the_same_again(line: Line) -> None:
    for number, status in enumerate((302, 307, 400, 405, 413, 422), start=1):
        error = await refused(line, Reply(status, b"no", [(b"location", b"/elsewhere")]))
        assert (error.permanent, error.disable) == (True, False)
        assert line.http.app.count == number  # nothing was followed


@over_http
async def test_gone_ends_the_channel(line: Line) -> None:
    error = await refused(line, Reply(410))
    assert error.disable
    assert error.permanent


@over_http
async def test_a_long_answer_is_kept_short(line: Line) -> None:
    error = await refused(line, Reply(500, b"long\x00\r\n " * 100_000))
    assert 0 < len(error.excerpt) <= MAX_EXCERPT
    assert error.excerpt.isprintable()
