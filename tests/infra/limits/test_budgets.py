import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from signalbox.core.rates import Rate, parse_rate
from signalbox.core.times import DAY
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context
from signalbox.infra.db import Database
from signalbox.infra.db.sqlite import sqlite_engine
from signalbox.infra.limits.budgets import Budgets, Grant, LimitStatus, Purpose
from signalbox.infra.limits.settings import BudgetSettings
from tests.support.databases import Place, SqliteTemplate

SECOND = 1_000_000
HOST = "api.example.com"
TAKE_AND_DIE = """
import asyncio, os, signal, sys
from pathlib import Path
import sqlalchemy
from signalbox.core.rates import parse_rate
from signalbox.infra.clock.system import SystemClock
from signalbox.infra.db.postgresql import open_postgresql
from signalbox.infra.db.sqlite import open_sqlite
from signalbox.infra.limits.budgets import Budgets
from signalbox.infra.limits.settings import BudgetSettings
dialect, where, host, limit = sys.argv[1:]
async def main():
    db = open_postgresql(where) if dialect == "postgresql" else open_sqlite(Path(sqlalchemy.make_url(where).database))
    clock = SystemClock()
    budgets = Budgets([BudgetSettings(host=host, limits=[parse_rate(limit)])], db, clock)
    assert (await budgets.acquire(host, count=2, now=clock.now())).count == 2
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


class Desk:
    """Budgets on SQLite, whose time tests can move."""

    def __init__(self, engine: sa.Engine, database: Database, clock: ManualClock) -> None:
        self.engine, self.clock, self._database = engine, clock, database
        self.budgets = Budgets([], database, clock)

    def has(self, *limits: str, host: str = HOST, share: float = 0.1, margin: float = 0.0) -> None:
        settings = BudgetSettings(host=host, limits=[parse_rate(each) for each in limits], poll_share=share)
        self.budgets = Budgets([settings], self._database, self.clock, margin=margin)

    def take(
        self, count: int = 1, *, purpose: Purpose = "submit", host: str = HOST, extra: dict[str, Rate] | None = None
    ) -> Grant:
        with self.engine.begin() as tx:
            return self.budgets.take(tx, host, purpose=purpose, count=count, extra=extra or {}, now=self.clock.now())

    def poll(self) -> int:
        return self.take(purpose="poll").count

    def pause(self, seconds: float, host: str = HOST) -> int:
        until = self.clock.now() + round(seconds * SECOND)
        with self.engine.begin() as tx:
            self.budgets.pause(tx, host, until=until)
        return until


@pytest.fixture
def desk(sqlite_template: SqliteTemplate, tmp_path: Path, clock: ManualClock) -> Iterator[Desk]:
    engine = sqlite_engine(sqlite_template.copy_to(tmp_path).path)
    yield Desk(engine, None, clock)  # type: ignore[arg-type]  # nothing here asks for a transaction of its own
    engine.dispose()


# -- limits -----------------------------------------------------------------------------------------------------------


def test_all_limits_of_a_host_hold(desk: Desk) -> None:
    desk.has("3/1s", "5/1m")
    assert desk.take(4) == Grant(3, desk.clock.now() + SECOND)
    desk.clock.advance(1)
    assert desk.take(2) == Grant(2)
    assert desk.take() == Grant(0, desk.clock.now() + 59 * SECOND)


def test_who_waits_until_told_is_granted(desk: Desk) -> None:
    desk.has("3/10s", margin=0.1)
    desk.take(1)
    desk.clock.advance(4)
    grant = desk.take(9)
    assert (grant.count, grant.retry_at) == (2, desk.clock.now() + 6_100_000)
    desk.clock.advance(6.1)
    assert desk.take(1) == Grant(1)


def test_a_host_without_a_budget_has_no_limit_but_those_that_are_given(desk: Desk) -> None:
    desk.has("1/1s")
    assert desk.take(1_000, host="other.test") == Grant(1_000)
    extra = {"provider:x:2/1s": parse_rate("2/1s")}
    assert desk.take(3, host="other.test", extra=extra).count == 2
    assert desk.take(1, host="third.test", extra=extra).count == 0


def test_further_limits_hold_besides_the_budget_and_take_nothing_of_it_in_vain(desk: Desk) -> None:
    desk.has("5/1s")
    extra = {"provider:x:2/1s": parse_rate("2/1s")}
    assert desk.take(4, extra=extra).count == 2
    assert desk.take(1, extra=extra).count == 0
    assert desk.take(4).count == 3


@pytest.mark.parametrize(
    ("budget", "host", "same"),
    [
        (HOST, "API.Example.com", True),
        (HOST, f"{HOST}:8443", True),
        (HOST, f"{HOST}.", True),
        (f"{HOST}:8443", f"{HOST}:8443", True),
        (f"{HOST}:8443", f"{HOST}:443", False),
        (f"{HOST}:8443", HOST, False),
        (HOST, f"eu.{HOST}", False),
    ],
)
def test_hosts_match_by_name_or_by_name_and_port(desk: Desk, budget: str, host: str, *, same: bool) -> None:
    desk.has("1/1s", host=budget)
    assert desk.take(9, host=host).count == (1 if same else 9)
    assert desk.budgets.name_of(host) == (budget if same else None)
    assert desk.budgets.limits_of(host) == ([parse_rate("1/1s")] if same else [])


def test_permits_that_may_be_held_count_for_so_much_longer(desk: Desk) -> None:
    desk.has("1/1s", margin=0.1)
    with desk.engine.begin() as tx:
        assert desk.budgets.take(tx, HOST, hold=2 * SECOND, now=desk.clock.now()).count == 1
    assert desk.take().retry_at == desk.clock.now() + 3_100_000


async def test_permits_can_be_had_without_a_transaction_of_ones_own(context: Context) -> None:
    settings = BudgetSettings(host=HOST, limits=[Rate(3, DAY)])
    budgets = Budgets([settings], context.db, context.clock)
    now = context.clock.now()
    assert await budgets.acquire(HOST, count=2, now=now) == Grant(2)
    grant = await budgets.acquire(HOST, count=2, now=now)
    assert (grant.count, grant.paused) == (1, False)
    assert grant.retry_at is not None
    assert now < grant.retry_at <= now + DAY + SECOND
    status = await context.db.read(budgets.status, HOST, now=now)
    assert status.limits == [LimitStatus(Rate(3, DAY), used=3, polls=0, poll_limit=1)]


def test_permits_of_a_process_that_died_before_it_used_them_are_lost(place: Place, clock: ManualClock) -> None:
    limits = [Rate(3, DAY)]
    engine = place.engine()
    where = engine.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-c", TAKE_AND_DIE, place.dialect, where, HOST, str(limits[0])], check=False, timeout=30
    )
    assert done.returncode == -signal.SIGKILL
    budgets = Budgets([BudgetSettings(host=HOST, limits=limits)], None, clock)  # type: ignore[arg-type]  # not needed
    with engine.begin() as tx:
        assert budgets.take(tx, HOST, count=3, now=clock.now()).count == 1
    engine.dispose()


# -- pauses -----------------------------------------------------------------------------------------------------------


def test_nothing_is_granted_while_a_host_is_paused(desk: Desk) -> None:
    desk.has("9/1s")
    until = desk.pause(30)
    desk.pause(10)
    for purpose in ("submit", "poll"):
        assert desk.take(purpose=purpose) == Grant(0, until, paused=True)
    assert desk.take(host="other.test") == Grant(1)
    desk.clock.advance(29.999_999)
    assert desk.take().paused
    desk.clock.advance(0.000_001)
    assert desk.take(9) == Grant(9)


def test_a_pause_holds_for_who_waited_while_it_was_written(place: Place, clock: ManualClock) -> None:
    budgets = Budgets([BudgetSettings(host=HOST, limits=[Rate(9, SECOND)])], None, clock)  # type: ignore[arg-type]  # not needed
    engine, granted = place.engine(), list[Grant]()
    until = clock.now() + 30 * SECOND

    def take() -> None:
        with engine.begin() as tx:
            granted.append(budgets.take(tx, HOST, now=clock.now()))

    waiting = threading.Thread(target=take)
    with engine.begin() as tx:
        budgets.pause(tx, HOST, until=until)
        waiting.start()
        waiting.join(0.3)
    waiting.join(20)
    assert granted == [Grant(0, until, paused=True)]
    engine.dispose()


def test_a_pause_holds_for_all_names_of_a_budget_and_for_hosts_without_one(desk: Desk) -> None:
    desk.has("9/1s")
    until = desk.pause(30, host=f"{HOST}:8443")
    assert desk.take().paused
    desk.pause(30, host="Other.test:80")
    assert desk.take(host="other.test:80").paused
    assert not desk.take(host="other.test:81").paused
    with desk.engine.connect() as tx:
        assert desk.budgets.paused_until(tx, HOST.upper()) == until
        assert desk.budgets.paused_until(tx, "third.test") is None
        assert desk.budgets.status(tx, HOST, now=desk.clock.now()).paused_until == until
        assert desk.budgets.status(tx, HOST, now=until).paused_until is None


# -- polls and submissions --------------------------------------------------------------------------------------------


def test_polls_take_no_more_than_their_share(desk: Desk) -> None:
    desk.has("50/30s")
    assert [desk.poll() for _ in range(7)] == [1, 1, 1, 1, 1, 0, 0]
    assert desk.take(99).count == 45


@pytest.mark.parametrize(("limit", "polls"), [("1/1s", 1), ("5/1s", 1), ("19/1s", 1), ("20/1s", 2)])
def test_polls_can_have_at_least_one_of_a_limit(desk: Desk, limit: str, polls: int) -> None:
    desk.has(limit)
    assert sum(desk.poll() for _ in range(5)) == polls


@pytest.mark.parametrize(("share", "polls", "poll_limit"), [(None, 1, 1), (0.5, 5, 5), (0.0, 10, None)])
def test_limits_of_a_caller_have_a_share_of_their_own(
    desk: Desk, share: float | None, polls: int, poll_limit: int | None
) -> None:
    desk.has("1000/1s")
    extra, now = {"provider:x:10/1s": parse_rate("10/1s")}, desk.clock.now()
    with desk.engine.begin() as tx:
        granted = [
            desk.budgets.take(tx, HOST, purpose="poll", extra=extra, extra_share=share, now=now).count
            for _ in range(11)
        ]
        limits = desk.budgets.status(tx, HOST, extra=extra, extra_share=share, now=now).limits
    assert sum(granted) == polls
    assert [each.poll_limit for each in limits] == [100, poll_limit]


def test_without_polls_submissions_have_all_of_a_short_window(desk: Desk) -> None:
    desk.has("50/30s")
    assert desk.take(99).count == 50


def test_what_polls_are_likely_to_ask_for_is_kept_for_them(desk: Desk) -> None:
    desk.has("50/30s")
    for _ in range(6):
        desk.clock.advance(10)
        assert desk.poll() == 1
    desk.clock.advance(30)  # none of these counts any more, and the next one is late: one poll in 30 s is likely
    assert desk.take(99).count == 49
    assert desk.poll() == 1


def test_polls_get_their_share_under_a_backlog_and_it_is_used_to_98_percent(desk: Desk) -> None:
    desk.has("50/30s", "1000/1h")
    desk.poll()
    polls, submitted = 0, 0
    for second in range(0, 3_600, 5):
        desk.clock.advance(5)
        if second % 120 == 0:
            polls += desk.poll()
        submitted += desk.take(99).count
    assert polls == 30
    assert submitted + polls >= 980


def test_the_share_that_polls_leave_goes_to_submissions(desk: Desk) -> None:
    desk.has("50/30s")
    for _ in range(6):
        desk.clock.advance(10)
        desk.poll()
    desk.clock.advance(61)
    assert desk.take(99).count == 50


def test_before_the_first_poll_a_hundredth_of_a_long_window_is_kept(desk: Desk) -> None:
    desk.has("1000/1d")
    grant = desk.take(2_000)
    assert (grant.count, grant.retry_at) == (990, desk.clock.now() + 30 * SECOND)
    assert sum(desk.poll() for _ in range(20)) == 10


def test_the_second_half_of_the_share_of_a_long_window_is_spread_over_it(desk: Desk) -> None:
    desk.has("1000/1d")
    grants = [desk.take(purpose="poll") for _ in range(51)]
    assert [grant.count for grant in grants] == [1] * 50 + [0]
    assert grants[-1].retry_at == desk.clock.now() + DAY // 50
    polled = []
    for minute in range(0, 3 * 24 * 60, 10):
        if desk.poll():
            polled.append(minute)
        desk.clock.advance(600)
    assert max(after - before for before, after in pairwise(polled)) <= 40
    assert 100 <= len(polled) <= 170


def test_polls_that_a_short_window_holds_up_do_not_wait_for_a_long_one(desk: Desk) -> None:
    desk.has("50/30s", "1000/1d")
    assert [desk.poll() for _ in range(5)] == [1] * 5
    assert desk.take(purpose="poll") == Grant(0, desk.clock.now() + 30 * SECOND)
    desk.clock.advance(30)
    assert desk.take(9, purpose="poll") == Grant(5, desk.clock.now() + 30 * SECOND)


def test_of_many_polls_at_once_as_many_are_granted_as_need_not_be_spread(desk: Desk) -> None:
    desk.has("1000/1d")
    assert desk.take(80, purpose="poll") == Grant(50, desk.clock.now() + DAY // 50)
    desk.clock.advance(DAY // 50 / SECOND)
    assert desk.take(80, purpose="poll").count == 1


def test_without_a_share_polls_are_calls_like_others(desk: Desk) -> None:
    desk.has("1000/1d", share=0.0)
    assert desk.take(500).count == 500
    assert desk.take(2_000, purpose="poll").count == 500
    with desk.engine.connect() as tx:
        (status,) = desk.budgets.status(tx, HOST, now=desk.clock.now()).limits
    assert (status.used, status.polls, status.poll_limit) == (1_000, 0, None)


def test_submissions_are_never_shut_out(desk: Desk) -> None:
    desk.has("2/1m", share=1.0)
    desk.poll()
    desk.clock.advance(60)
    assert desk.take(9).count == 1


def test_status_tells_calls_and_polls(desk: Desk) -> None:
    desk.has("50/30s", "1000/1d")
    desk.take(7)
    desk.poll()
    with desk.engine.connect() as tx:
        status = desk.budgets.status(tx, HOST, now=desk.clock.now())
        assert desk.budgets.status(tx, "other.test", now=desk.clock.now()).limits == []
    assert status.limits == [
        LimitStatus(parse_rate("50/30s"), used=8, polls=1, poll_limit=5),
        LimitStatus(parse_rate("1000/1d"), used=8, polls=1, poll_limit=100),
    ]
