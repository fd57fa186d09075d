"""What every ``Limiter`` holds to.

Windows are a thousand seconds, and tests let parts of them pass: what a machine takes or halts for counts for nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from signalbox.core.rates import Rate
from signalbox.core.times import MICROSECONDS
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.limits import KeyUsage, Limiter
from signalbox.infra.limits.database import DatabaseLimiter
from signalbox.infra.limits.log import PermitLog
from signalbox.infra.limits.memory import MemoryLimiter
from signalbox.infra.limits.tables import permit_log
from tests.support.databases import Place
from tests.support.jobs import place_of

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])  # one loop will do: nothing here is a socket's

WINDOW = 1_000 * MICROSECONDS
ONE, TWO, FIVE = (Rate(limit, WINDOW) for limit in (1, 2, 5))


@dataclass(frozen=True)
class Subject:
    """A limiter, and how to let time pass for it, in windows."""

    limiter: Limiter
    wait: Callable[[float], Awaitable[None]]


@asynccontextmanager
async def in_memory() -> AsyncIterator[Subject]:
    clock = ManualClock()

    async def wait(windows: float) -> None:
        clock.advance(windows * WINDOW / MICROSECONDS)

    yield Subject(MemoryLimiter(clock), wait)


@asynccontextmanager
async def in_database(place: Place) -> AsyncIterator[Subject]:
    """On PostgreSQL the time is the server's: there it passes by what is known getting older."""
    database, clock = place.open(), ManualClock()

    async def wait(windows: float) -> None:
        clock.advance(windows * WINDOW / MICROSECONDS)
        if place.dialect == "postgresql":
            await database.write(make_older, round(windows * WINDOW))

    yield Subject(DatabaseLimiter(database, clock), wait)
    await database.close()


def make_older(tx: sa.Connection, by: int) -> None:
    for row in tx.execute(sa.select(permit_log)).all():
        log = PermitLog.load(Rate(1, row.span), row.permits)
        older = PermitLog(Rate(1, row.span), [stamp - by for stamp in log._stamps], log._counts).dump()
        changed = permit_log.update().where(permit_log.c.id == row.id)
        tx.execute(changed.values(permits=older, latest=row.latest - by, ends_at=row.ends_at - by))


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    in_process = request.param == "memory"
    async with in_memory() if in_process else in_database(place_of(request, request.param, tmp_path)) as opened:
        yield opened


async def allowed(subject: Subject, **rates: Rate) -> bool:
    return (await subject.limiter.take(rates)).allowed


async def test_as_many_as_the_limit_are_granted_and_no_more(subject: Subject) -> None:
    verdicts = [await subject.limiter.take({"a": FIVE}) for _ in range(8)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False] * 3
    assert [verdict.quotas[0][0] for verdict in verdicts] == [4, 3, 2, 1, 0, 0, 0, 0]


async def test_permits_come_back_after_the_window(subject: Subject) -> None:
    assert await allowed(subject, a=ONE)
    await subject.wait(0.5)
    assert not await allowed(subject, a=ONE)
    await subject.wait(0.6)
    assert await allowed(subject, a=ONE)


async def test_the_window_slides(subject: Subject) -> None:
    assert await allowed(subject, a=TWO)
    await subject.wait(0.6)
    assert await allowed(subject, a=TWO)
    await subject.wait(0.5)
    assert await allowed(subject, a=TWO)
    assert not await allowed(subject, a=TWO)


async def test_a_refusal_takes_nothing_and_does_not_prolong_the_wait(subject: Subject) -> None:
    assert await allowed(subject, a=ONE)
    for _ in range(4):
        assert not await allowed(subject, a=ONE)
        await subject.wait(0.26)
    assert await allowed(subject, a=ONE)


@pytest.mark.parametrize("names", [("full", "free"), ("free", "full")])
async def test_all_demands_are_granted_or_none(subject: Subject, names: tuple[str, str]) -> None:
    assert await allowed(subject, full=ONE)
    demands = {name: {"full": ONE, "free": TWO}[name] for name in names}
    for _ in range(3):
        verdict = await subject.limiter.take(demands)
        assert (verdict.allowed, verdict.refused_by) == (False, "full")
        assert dict(zip(names, verdict.quotas, strict=True))["free"] == (2, 0)
    assert await allowed(subject, free=TWO)
    assert await allowed(subject, free=TWO)
    assert not await allowed(subject, free=TWO)


async def test_who_waits_as_long_as_told_is_granted(subject: Subject) -> None:
    await subject.limiter.take({"a": TWO, "b": ONE})
    verdict = await subject.limiter.take({"a": TWO, "b": ONE})
    assert 0 < verdict.retry_after <= WINDOW
    await subject.wait(verdict.retry_after / WINDOW)
    assert await allowed(subject, a=TWO, b=ONE)


async def test_the_longest_wait_is_named(subject: Subject) -> None:
    assert await allowed(subject, sooner=ONE)
    await subject.wait(0.3)
    assert await allowed(subject, later=ONE)
    verdict = await subject.limiter.take({"sooner": ONE, "later": ONE, "free": ONE})
    assert verdict.refused_by == "later"
    (_, sooner), (_, later), (left, free) = verdict.quotas
    assert sooner < later == verdict.retry_after
    assert (left, free) == (1, 0)


async def test_a_grant_tells_what_remains_and_when_there_is_more(subject: Subject) -> None:
    first = await subject.limiter.take({"a": FIVE})
    await subject.wait(0.5)
    second = await subject.limiter.take({"a": FIVE, "b": TWO})
    assert (first.allowed, first.refused_by, first.retry_after) == (True, None, 0)
    assert [remaining for remaining, _ in second.quotas] == [3, 1]
    assert 0 < second.quotas[0][1] <= WINDOW // 2 < second.quotas[1][1] <= WINDOW


async def test_keys_and_rates_have_counters_of_their_own(subject: Subject) -> None:
    assert await allowed(subject, a=ONE)
    assert await allowed(subject, b=ONE)
    assert await allowed(subject, a=TWO)
    assert await allowed(subject, a=Rate(1, 2 * WINDOW))
    assert not await allowed(subject, a=ONE)


async def test_no_demand_is_always_granted(subject: Subject) -> None:
    assert await subject.limiter.take({}) == (True, None, 0, [])


async def test_callers_at_the_same_time_share_the_limit(subject: Subject) -> None:
    verdicts = await asyncio.gather(*(subject.limiter.take({"a": FIVE, f"own-{n % 7}": TWO}) for n in range(40)))
    assert sum(verdict.allowed for verdict in verdicts) == 5


@pytest.mark.parametrize("key", ["", " ", "a\x00b", "é", "🚦", "k" * 5_000, "%", "a:b|c{d}", "null"])
async def test_any_text_is_a_key(subject: Subject, key: str) -> None:
    assert (await subject.limiter.take({key: ONE, f"{key}x": ONE})).allowed
    assert not (await subject.limiter.take({key: ONE})).allowed


async def test_usage_names_the_fullest(subject: Subject) -> None:
    for number in range(4):
        for _ in range(number + 1):
            assert (await subject.limiter.take({f"shop {number}": FIVE, f"other {number}": FIVE})).allowed
    usage = await subject.limiter.usage("shop ", FIVE, top=2)
    assert usage == (4, [KeyUsage("shop 3", 4), KeyUsage("shop 2", 3)])
    assert (await subject.limiter.usage("shop ", TWO)) == (0, [])


async def test_what_is_over_is_not_in_use(subject: Subject) -> None:
    await subject.limiter.take({"old": FIVE, "both": FIVE})
    await subject.wait(0.6)
    await subject.limiter.take({"both": FIVE})
    await subject.wait(0.6)
    assert await subject.limiter.usage("", FIVE) == (1, [KeyUsage("both", 1)])
