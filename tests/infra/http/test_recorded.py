"""The hub's own calls: each is told once, however it ends."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.http import (
    ConnectError,
    ConnectionBrokenError,
    HttpClientError,
    Request,
    parse_origin,
    read_all,
)
from signalbox.infra.http.pool import PooledClient
from signalbox.infra.http.recorded import OwnCall, RecordedClient
from signalbox.sandbox.rawserver import RawUpstream


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    async with RawUpstream() as made:
        yield made


@dataclass
class Desk:
    """A recorded client and what it told."""

    client: RecordedClient
    clock: ManualClock
    told: list[OwnCall] = field(default_factory=list)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    pool, clock = PooledClient(), ManualClock()
    made = Desk(RecordedClient(pool, clock), clock)
    made.client.listen(made.told.append)
    yield made
    await pool.close()


def to(url: str, path: str, **more: object) -> Request:
    return Request(parse_origin(url)[0], b"POST", path.encode(), **more)  # type: ignore[arg-type]


async def test_a_call_is_told_once_its_answer_is_read(desk: Desk, upstream: RawUpstream) -> None:
    request = to(upstream.url, "/fine?key=secret", headers=[(b"x-request-id", b"id-1")], body=b"abc")
    response = await desk.client.send(request, service="provider", route="submit")
    desk.clock.advance(0.25)
    assert await read_all(response) == b"fine\n"
    response.close()
    assert desk.told == [
        OwnCall(
            started_at=desk.told[0].started_at,
            service="provider",
            route="submit",
            method="POST",
            path="/fine",
            status=200,
            micros=250_000,
            request_bytes=3,
            response_bytes=5,
            request_id="id-1",
        )
    ]


@pytest.mark.parametrize(("path", "status"), [("/garbage", 502), ("/close", 502)])
async def test_no_valid_answer_counts_as_a_failure(desk: Desk, upstream: RawUpstream, path: str, status: int) -> None:
    with pytest.raises(HttpClientError):
        await desk.client.send(to(upstream.url, path), service="provider", route="submit")
    assert [call.status for call in desk.told] == [status]


async def test_a_refused_connection_counts_as_well(desk: Desk, upstream: RawUpstream) -> None:
    with pytest.raises(ConnectError):
        await desk.client.send(to(upstream.refused_url, "/"), service="provider", route="submit")
    assert [(call.status, call.service) for call in desk.told] == [(502, "provider")]


async def test_an_answer_that_breaks_off_counts_as_a_failure(desk: Desk, upstream: RawUpstream) -> None:
    response = await desk.client.send(to(upstream.url, "/cut"), service="provider", route="submit")
    with pytest.raises(ConnectionBrokenError):
        await read_all(response)
    assert [(call.status, call.response_bytes) for call in desk.told] == [(502, 10)]


async def test_an_answer_that_is_given_up_counts_as_abandoned(desk: Desk, upstream: RawUpstream) -> None:
    response = await desk.client.send(to(upstream.url, "/stall"), service="provider", route="submit")
    response.close()
    response.close()
    assert [call.status for call in desk.told] == [499]


async def test_a_path_that_holds_a_secret_is_told_as_another(desk: Desk, upstream: RawUpstream) -> None:
    request = to(upstream.url, "/bot-secret/send")
    response = await desk.client.send(request, service="channel", route="telegram", path="/bot/send")
    await read_all(response)
    assert [call.path for call in desk.told] == ["/bot/send"]
