from collections.abc import AsyncIterator

import pytest

from signalbox.console.status import PublicPart, PublicStatus, condition_of, worst
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.upstream import UpstreamApp
from tests.console.conftest import header
from tests.support.databases import Place
from tests.support.hub import RunningHub, running_hub, settings_at


@pytest.fixture
async def shop() -> AsyncIterator[str]:
    async with LoopbackServer(UpstreamApp(latency=False)) as server:
        yield server.url


@pytest.fixture
async def public(place: Place, shop: str) -> AsyncIterator[RunningHub]:
    upstreams = [{"name": name, "url": shop, "prefix": f"/{name}", "strip_prefix": True} for name in ("shop", "secret")]
    page = {"enabled": True, "title": "Our <status>", "upstreams": ["shop"]}
    async with running_hub(settings_at(place, gateway={"upstreams": upstreams}, status_page=page)) as running:
        yield running


@pytest.mark.parametrize(
    ("calls", "failed", "condition"), [(0, 0, None), (100, 4, "ok"), (100, 5, "warning"), (2, 1, "bad"), (1, 1, "bad")]
)
def test_an_hour_is_judged_by_what_failed(calls: int, failed: int, condition: str | None) -> None:
    assert condition_of(calls, failed) == condition


def test_the_worst_part_decides() -> None:
    assert worst([]) == "ok"
    status = PublicStatus((PublicPart("a", "ok"), PublicPart("b", "bad"), PublicPart("c", "warning")))
    assert (status.condition, status.summary, status.badge) == ("bad", "A part is down", "down")


async def test_by_default_there_is_no_such_page(hub: RunningHub) -> None:
    for path in (b"/status", b"/status/badge.svg"):
        assert (await hub.ask(path)).status == 404


async def test_anybody_may_read_it(public: RunningHub) -> None:
    answer = await public.ask(b"/status")
    text = answer.body.decode()
    assert answer.status == 200
    assert "Our &lt;status&gt;" in text
    assert "Everything works" in text
    assert "<h2>shop</h2>" in text
    assert "secret" not in text
    assert ">just now</time>" in text
    assert header(answer, "Cache-Control") == "public, max-age=10"
    assert "frame-ancestors 'none'" in header(answer, "Content-Security-Policy")


async def test_the_badge_is_one_word(public: RunningHub) -> None:
    answer = await public.ask(b"/status/badge.svg")
    assert header(answer, "Content-Type").startswith("image/svg+xml")
    assert b">operational</text>" in answer.body


async def test_calls_that_fail_are_seen_as_a_share(public: RunningHub) -> None:
    for path in (b"/shop/status/200", b"/shop/status/500", b"/shop/status/500"):
        await public.ask(path)
    await public.hub.recorder.close()  # sums of the minute are written at the end, too
    text = (await public.ask(b"/status")).body.decode()
    assert "A part is down" in text
    assert "33.3 % of calls did not fail" in text


async def test_what_was_found_is_kept_for_a_while(public: RunningHub) -> None:
    before = (await public.ask(b"/status/badge.svg")).body
    await public.ask(b"/shop/status/500")
    await public.hub.recorder.flush()
    assert (await public.ask(b"/status/badge.svg")).body == before
