import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from fastapi import FastAPI

from signalbox.core.errors import UnavailableError
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.db import Database
from signalbox.infra.telemetry import Metrics
from signalbox.ops.health import CHECK_TIMEOUT, REMEMBERED, Check, ReadinessProbe, build_router, database_check
from tests.support.databases import PostgresqlPlace, PostgresqlServer


class Part:
    """Something a process needs; counts how often it is asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = 0

    async def check(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


def make_probe(clock: ManualClock, *, tolerant: bool = False, **checks: Check) -> ReadinessProbe:
    return ReadinessProbe(checks, clock, tolerant=tolerant)


@asynccontextmanager
async def serving(probe: ReadinessProbe) -> AsyncIterator[httpx2.AsyncClient]:
    app = FastAPI()
    app.include_router(build_router(probe, Metrics()))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hub.test") as client:
        yield client


async def test_ready_when_every_part_works(clock: ManualClock) -> None:
    answer = await make_probe(clock, a=Part().check, b=Part().check).ask()
    assert (answer.status, answer.checks) == ("ready", {"a": "ok", "b": "ok"})


@pytest.mark.parametrize(("tolerant", "status"), [(False, "unready"), (True, "degraded")])
async def test_a_broken_part_is_named(clock: ManualClock, tolerant: bool, status: str) -> None:
    probe = make_probe(clock, tolerant=tolerant, a=Part().check, b=Part(UnavailableError("is away")).check)
    answer = await probe.ask()
    assert (answer.status, answer.checks) == (status, {"a": "ok", "b": "is away"})


async def test_a_check_that_fails_unexpectedly_hides_no_other(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    probe = make_probe(clock, a=Part(RuntimeError("an inner detail")).check, b=Part().check)
    answer = await probe.ask()
    assert (answer.status, answer.checks["b"]) == ("unready", "ok")
    assert "an inner detail" not in answer.checks["a"]
    assert "an inner detail" in caplog.text


async def test_answers_are_remembered_for_a_while(clock: ManualClock) -> None:
    part = Part()
    probe = make_probe(clock, a=part.check)
    await probe.ask()
    part.error = UnavailableError("is away")
    clock.advance(REMEMBERED - 0.01)
    assert ((await probe.ask()).status, part.asked) == ("ready", 1)
    clock.advance(0.02)
    assert ((await probe.ask()).status, part.asked) == ("unready", 2)
    part.error = None
    clock.advance(REMEMBERED)
    assert ((await probe.ask()).status, part.asked) == ("ready", 3)


async def test_many_askers_make_one_check(clock: ManualClock) -> None:
    part = Part()
    probe = make_probe(clock, a=part.check)
    answers = await asyncio.gather(*(probe.ask() for _ in range(50)))
    assert ({answer.status for answer in answers}, part.asked) == ({"ready"}, 1)


async def test_a_slow_check_is_given_up_once_for_all_who_wait(clock: ManualClock) -> None:
    begun = 0

    async def slow() -> None:
        nonlocal begun
        begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            clock.advance(CHECK_TIMEOUT)

    probe = make_probe(clock, a=slow, b=Part().check)
    answers = await asyncio.gather(*(probe.ask() for _ in range(5)))
    assert {answer.checks["a"] for answer in answers} == {"no answer within 2 s"}
    assert {answer.checks["b"] for answer in answers} == {"ok"}
    assert begun == 1


async def test_draining_asks_nobody(clock: ManualClock) -> None:
    part = Part()
    probe = make_probe(clock, tolerant=True, a=part.check)
    await probe.ask()
    probe.draining = True
    assert (await probe.ask()).status == "draining"
    assert part.asked == 1


@pytest.mark.parametrize(
    ("error", "tolerant", "draining", "status"),
    [
        (None, False, False, 200),
        (UnavailableError("away"), True, False, 200),
        (UnavailableError("away"), False, False, 503),
        (None, False, True, 503),
        (None, True, True, 503),
    ],
)
async def test_only_who_wants_traffic_answers_200(
    clock: ManualClock, error: Exception | None, tolerant: bool, draining: bool, status: int
) -> None:
    probe = make_probe(clock, tolerant=tolerant, a=Part(error).check)
    probe.draining = draining
    async with serving(probe) as client:
        assert (await client.get("/readyz")).status_code == status
        health = await client.get("/healthz")
        assert (health.status_code, health.json()) == (200, {"status": "ok"})


async def test_metrics_are_in_the_format_of_prometheus(clock: ManualClock) -> None:
    async with serving(make_probe(clock)) as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "# TYPE process_cpu_seconds_total counter" in answer.text


async def test_a_database_that_answers_is_ok(database: Database, clock: ManualClock) -> None:
    assert (await make_probe(clock, database=database_check(database)).ask()).checks == {"database": "ok"}


async def test_an_absent_database_is_told_of_and_comes_back(
    postgresql_server: PostgresqlServer, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with postgresql_server.database() as place:
        db = place.open()
        probe = make_probe(clock, database=database_check(db))
        try:
            assert (await probe.ask()).status == "ready"
            with postgresql_server.closed(place):
                clock.advance(REMEMBERED)
                away = await probe.ask()
                assert away.status == "unready"
                assert "the database does not answer" in away.checks["database"]
            clock.advance(REMEMBERED)
            assert (await probe.ask()).status == "ready"
        finally:
            await db.close()
    assert isinstance(place, PostgresqlPlace)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
