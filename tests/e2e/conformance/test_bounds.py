"""What a client may make large or many, and where that ends."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from signalbox.app.protocol import MAX_HEAD
from signalbox.gateway.exchange import Exchange
from signalbox.gateway.paths import canonical
from tests.e2e.conformance.conftest import GATEWAY, OWN, Hub, code
from tests.support.databases import SqliteTemplate
from tests.support.hub import Client, request, running_hub, settings_at
from tests.support.processes import ask

CHUNKED = [(b"Transfer-Encoding", b"chunked")]
PIECE = 1_000

# -- heads ------------------------------------------------------------------------------------------------------------


async def pour(client: Client, *, size: int, piece: bytes) -> None:
    """Send so many bytes, or as many as are taken."""
    with contextlib.suppress(ConnectionError):
        for _ in range(size // len(piece)):
            await client.send(piece)


@pytest.mark.parametrize("path", [OWN, GATEWAY])
@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET %b HTTP/1.1\r\nHost: a\r\n", b"X-Filler: " + b"x" * PIECE + b"\r\n"),
        (b"GET %b HTTP/1.1\r\nHost: a\r\nX-Filler: ", b"x" * PIECE),
        (b"GET %b HTTP/1.1\r\nHost: a\r\nX", b"x" * PIECE),
        (b"GET %b?", b"x" * PIECE),
    ],
    ids=["many headers", "a long value", "a long name", "a long target"],
)
async def test_a_head_without_end_is_431(hub: Hub, path: bytes, start: bytes, piece: bytes) -> None:
    before = len(hub.seen())
    client = await hub.connect()
    await client.send(start.replace(b"%b", path))
    await pour(client, size=20 * MAX_HEAD, piece=piece)
    answer = await client.answer()
    assert (answer.status, code(answer), answer.value(b"connection")) == (431, "head_too_large", b"close")
    assert await client.ended()
    assert len(hub.seen()) == before
    await client.close()


@pytest.mark.parametrize("path", [OWN, GATEWAY])
async def test_a_large_head_within_the_bound_is_taken(hub: Hub, path: bytes) -> None:
    headers = [(b"X-%d" % number, b"x" * PIECE) for number in range(50)]
    assert (await hub.exchange(request(path, headers=headers))).status == 200


# -- what stands around a body ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [b"/auth/token", GATEWAY])
@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"5;a=", b"x" * PIECE),
        (b"5\r\nhello\r\n0\r\n", b"X-Trailer: " + b"x" * PIECE + b"\r\n"),
        (b"5\r\nhello\r\n0\r\nX-Trailer: ", b"x" * PIECE),
        (b"", b"0" * PIECE),
    ],
    ids=["an extension", "many trailers", "a long trailer", "a size of zeros"],
)
async def test_what_stands_around_chunks_is_bounded(hub: Hub, target: bytes, start: bytes, piece: bytes) -> None:
    client = await hub.connect()
    form = (b"Content-Type", b"application/x-www-form-urlencoded")
    await client.send(request(target, method=b"POST", headers=[*CHUNKED, form]) + start)
    await pour(client, size=20 * MAX_HEAD, piece=piece)
    answer = await client.answer()
    assert (answer.status, code(answer)) == (431, "head_too_large")
    assert await client.ended()
    await client.close()


async def test_extensions_and_trailers_within_the_bound_do_not_reach_the_upstream(hub: Hub) -> None:
    before = len(hub.seen())
    body = b'5;a=b;c="d"\r\nhello\r\n0;e\r\nX-Trailer: a\r\nContent-Type: b\r\n\r\n'
    answer = await hub.exchange(request(GATEWAY, method=b"POST", headers=CHUNKED) + body)
    assert (answer.status, answer.body) == (200, b"fine\n")
    (call,) = hub.seen()[before:]
    assert call.body_received == 5
    assert call.header("x-trailer") is call.header("content-type") is None


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_body_over_its_bound_is_413_for_one_who_only_sends_too(hub: Hub, framing: str) -> None:
    """The raw upstream takes a million bytes."""
    headers = CHUNKED if framing == "chunked" else [(b"Content-Length", b"3000000")]
    client = await hub.connect()
    await client.send(request(GATEWAY, method=b"POST", headers=headers))
    await pour(
        client, size=3_000_000, piece=b"x" * 100_000 if framing == "length" else b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    )
    answer = await client.answer()
    assert (answer.status, code(answer)) == (413, "body_too_large")
    await client.close()


async def test_a_length_up_to_64_bits_is_refused_at_once(hub: Hub) -> None:
    answer = await hub.exchange(
        request(GATEWAY, method=b"POST", headers=[(b"Content-Length", b"18446744073709551615")])
    )
    assert (answer.status, code(answer)) == (413, "body_too_large")


async def test_a_chunk_of_almost_64_bits_is_only_as_large_as_what_comes(hub: Hub) -> None:
    client = await hub.connect()
    await client.send(request(GATEWAY, method=b"POST", headers=CHUNKED) + b"ffffffffffffffff\r\n")
    await pour(client, size=2_000_000, piece=b"x" * 100_000)
    answer = await client.answer()
    assert (answer.status, code(answer)) == (413, "body_too_large")
    await client.close()


# -- series -----------------------------------------------------------------------------------------------------------


def random_path(dice: random.Random) -> bytes:
    return b"/" + b"/".join(b"%x" % dice.getrandbits(40) for _ in range(dice.randint(1, 4)))


def series(text: str) -> set[str]:
    """Names and labels of what ``/metrics`` shows."""
    return {line.rpartition(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}


async def call_random_paths(hub: Hub, count: int, dice: random.Random) -> None:
    client = await hub.connect()
    for _ in range(count // 100):
        await client.send(b"".join(request(random_path(dice)) for _ in range(100)))
        for _ in range(100):
            assert (await client.answer()).status == 200
    await client.close()


async def test_thousands_of_random_paths_make_no_series(hub: Hub) -> None:
    dice = random.Random(1)
    await call_random_paths(hub, 100, dice)
    known = series(ask(f"{hub.server.url}/metrics").text)
    assert 'signalbox_gateway_requests_total{method="GET",route="unmatched",status="200",upstream="raw"}' in known
    await call_random_paths(hub, 3_000, dice)
    new = series(ask(f"{hub.server.url}/metrics").text) - known
    assert not [
        name for name in new if not name.startswith("signalbox_jobs_")
    ]  # jobs that ran meanwhile for the first time


@contextlib.contextmanager
def grows_under(megabytes: int) -> Iterator[None]:
    """Memory of this process, measured by the kernel."""
    before = _resident()
    yield
    assert _resident() - before < megabytes * 1_000_000


def _resident() -> int:
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) * 1_024


async def test_a_million_random_paths_make_no_series(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    """The way of a call from its path to the statistics, without the sockets."""
    upstream = {"name": "shop", "url": "http://127.0.0.1:9", "prefix": "/", "routes": ["/items/{id}", "/a/{b}/c/{d}"]}
    settings = settings_at(sqlite_template.copy_to(tmp_path), gateway={"upstreams": [upstream]})
    dice = random.Random(2)
    async with running_hub(settings) as running:
        recorder, gateway = running.hub.recorder, running.hub.gateway
        assert gateway is not None
        table = gateway.proxy.rules.table

        def record(count: int) -> None:
            scope = {"method": "GET", "query_string": b"", "raw_path": b"", "extensions": {}}
            for number in range(count):
                scope["raw_path"] = b"/items" + random_path(dice) if number % 10 == 0 else random_path(dice)
                exchange = Exchange(scope, peer="192.0.2.1", client="192.0.2.1", now=10**15, monotonic=0.0)
                path = canonical(exchange.path)
                exchange.upstream = table.find(b"hub.test", path)
                assert exchange.upstream is not None
                exchange.route, exchange.status = exchange.upstream.route(path), 200
                recorder.record(exchange.to_call(0.001))

        record(20_000)
        known = {(sample.name, *sample.labels.items()) for family in recorder.collect() for sample in family.samples}
        with grows_under(100):
            record(1_000_000)
        now = {(sample.name, *sample.labels.items()) for family in recorder.collect() for sample in family.samples}
        assert now == known
        assert {route for _, *labels in now for name, route in labels if name == "route"} == {
            "/items/{id}",
            "unmatched",
        }
        assert len(recorder.current()) == 2
