"""What answers mean where the provider does not say more; calls over real sockets."""

from collections.abc import AsyncIterator

import pytest

from signalbox.notifications.channels import ChannelError
from signalbox.notifications.channels.post import MAX_ANSWER, Answer, Poster, check_status, refusal, sent
from signalbox.notifications.channels.targets import Target, parse_target
from signalbox.sandbox.rawserver import RawUpstream
from signalbox.sandbox.scripted import Reply, ScriptedApp
from signalbox.sandbox.server import LoopbackServer
from tests.support.channels import Desk, open_desk


def answer(status: int) -> Answer:
    return Answer(status, b"", 7.0, "said")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success(status: int) -> None:
    check_status(answer(status))
    assert sent(answer(status), provider_id="1") == ("1", status, "said")


@pytest.mark.parametrize(
    ("status", "permanent", "disable"),
    [
        (301, True, False),
        (400, True, False),
        (404, True, False),
        (408, False, False),
        (410, True, True),
        (425, False, False),
        (429, False, False),
        (500, False, False),
        (599, False, False),
    ],
)
def test_failures(status: int, *, permanent: bool, disable: bool) -> None:
    with pytest.raises(ChannelError) as caught:
        check_status(answer(status))
    error = caught.value
    assert (error.permanent, error.disable, error.status, error.excerpt) == (permanent, disable, status, "said")
    assert error.retry_after == 7
    assert refusal(answer(status), "x").message == "x"


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as made:
        yield made


def poster(desk: Desk, timeout: float = 5.0) -> Poster:
    return Poster(desk.equipment.outbound, "sales", "slack", timeout, "/shown", ["s3cret-key", "key"])


def to(url: str) -> Target:
    return parse_target(url)


async def test_the_path_that_is_told_is_the_one_that_may_be_shown(desk: Desk) -> None:
    async with LoopbackServer(ScriptedApp()) as server:
        await poster(desk)(to(f"{server.url}/s3cret-key"), b"{}")
    assert [call.path for call in desk.told] == ["/shown"]


async def test_secrets_are_masked_in_excerpts_and_short_ones_are_words(desk: Desk) -> None:
    app = ScriptedApp()
    app.script(Reply(400, b"no s3cret-key here,\r\nkey"))
    async with LoopbackServer(app) as server:
        got = await poster(desk)(to(server.url), b"{}")
    assert got.excerpt == "no ******** here, key"


async def test_a_large_answer_is_read_no_further_than_needed(desk: Desk) -> None:
    app = ScriptedApp()
    app.script(Reply(200, b"x" * 5_000_000))
    async with LoopbackServer(app) as server:
        got = await poster(desk)(to(server.url), b"{}")
    assert (got.status, got.body) == (200, b"x" * MAX_ANSWER)
    assert desk.told[0].response_bytes < 4_000_000


@pytest.mark.parametrize("path", ["/garbage", "/close", "/cut"])
async def test_no_whole_answer_may_pass(desk: Desk, path: str) -> None:
    async with RawUpstream() as upstream:
        with pytest.raises(ChannelError) as caught:
            await poster(desk)(to(upstream.url + path), b"{}")
    assert not caught.value.permanent


async def test_an_answer_that_stalls_is_left(desk: Desk) -> None:
    async with RawUpstream() as upstream:
        with pytest.raises(ChannelError, match="did not answer in time"):
            await poster(desk, 0.3)(to(f"{upstream.url}/stall"), b"{}")


@pytest.mark.parametrize(("value", "seconds"), [(b"7", 7.0), (b"soon", None)])
async def test_how_long_to_wait_stands_in_the_header(desk: Desk, value: bytes, seconds: float | None) -> None:
    app = ScriptedApp()
    app.script(Reply(429, headers=[(b"retry-after", value)]))
    async with LoopbackServer(app) as server:
        assert (await poster(desk)(to(server.url), b"{}")).retry_after == seconds
