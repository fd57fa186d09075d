"""Random reports, asks, lost messages, concurrent asks and restarts of two processes, against a model of the rules.

No app is told of a revision twice, none is kept from one for longer than its process is behind, and numbers never repeat.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from signalbox.criticality import store
from signalbox.criticality.runtime import CriticalityRuntime
from signalbox.criticality.service.report import Report, report
from signalbox.criticality.view import Known
from signalbox.gateway.cache_entry import RecordCodec
from signalbox.infra.broadcast.memory import MemoryBroadcast
from signalbox.infra.cache.memory import MemoryCache
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context
from signalbox.infra.db import Database
from signalbox.infra.http.pool import PooledClient
from signalbox.infra.http.recorded import RecordedClient
from signalbox.infra.limits.budgets import Budgets
from signalbox.infra.limits.memory import MemoryLimiter
from signalbox.infra.telemetry import Metrics
from tests.criticality.conftest import SECOND, SETTINGS, START, silent
from tests.support.databases import Place, SqliteTemplate

APPS = ("a", "b", "c")
processes = st.sampled_from([0, 1])
apps = st.sampled_from(APPS)


class Pair:
    """Two processes on one database, deaf to each other until they look."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.clock = ManualClock()
        self.http = PooledClient()
        self.runtimes = [self.new(), self.new()]

    def new(self) -> CriticalityRuntime:
        outbound = RecordedClient(self.http, self.clock)
        answers = MemoryCache(RecordCodec(), clock=self.clock)
        budgets = Budgets([], self.db, self.clock)
        context = Context(
            clock=self.clock,
            db=self.db,
            calls_db=self.db,
            http=self.http,
            outbound=outbound,
            answers=answers,
            limiter=MemoryLimiter(self.clock),
            budgets=budgets,
            metrics=Metrics(),
            broadcast=MemoryBroadcast(),
        )
        return CriticalityRuntime(context, SETTINGS)


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Pair]:
    db = place.open()
    pair = Pair(db)
    yield pair
    await pair.http.close()
    await db.close()


@dataclass
class Model:
    """What the rules say."""

    revision: int = 0
    level: int = 0
    at: int = 0
    last: int = 0


class Levels(RuleBasedStateMachine):
    """Hypothesis chooses what happens next; ``opened`` makes the processes that it happens to."""

    opened: Callable[[], AbstractAsyncContextManager[Pair]]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.told = dict.fromkeys(APPS, 0)
        self.seen = [0, 0]
        self.runner = asyncio.Runner()
        self.scope = type(self).opened()
        self.pair = self.run(self.scope.__aenter__())
        for each in self.pair.runtimes:
            self.run(each.synchronise())

    def run(self, work: Any) -> Any:
        async def inside() -> Any:
            return await work

        return self.runner.run(inside())

    def teardown(self) -> None:
        self.run(self.scope.__aexit__(None, None, None))
        self.runner.close()

    @rule(level=st.integers(1, 5), at=st.integers(1, 20))
    def report(self, level: int, at: int) -> None:
        what = Report("default", level, START + at * SECOND, "p")
        now = START + 100 * SECOND
        outcome = self.run(self.pair.db.write(report, what, settings=SETTINGS, announce=silent, now=now))
        model = self.model
        if (at, level) == (model.at, model.level):
            assert (outcome.revision, outcome.why) == (model.revision, None)
            return
        model.last += 1
        accepted = at > model.at
        assert (outcome.revision, outcome.why is None) == (model.last, accepted)
        if accepted:
            model.revision, model.level, model.at = model.last, level, at
        assert (outcome.current.revision, outcome.current.level) == (model.revision, model.level)

    @rule(which=processes, app=apps)
    def ask(self, which: int, app: str) -> None:
        runtime = self.pair.runtimes[which]
        pair = (app, "default")
        found = None if runtime.has_nothing_for(pair) else self.run(runtime.ask(pair))
        self._check(which, app, [found])

    @rule(which=processes, app=apps, count=st.integers(2, 6))
    def ask_at_once(self, which: int, app: str, count: int) -> None:
        """Through both processes."""

        async def all_asks() -> list[Known | None]:
            runtimes = [self.pair.runtimes[(which + number) % 2] for number in range(count)]
            found: list[Known | None] = await asyncio.gather(*(each.ask((app, "default")) for each in runtimes))
            return found

        self._check(which, app, self.run(all_asks()))

    def _check(self, which: int, app: str, found: list[Known | None]) -> None:
        got = [each for each in found if each is not None]
        news = self.told[app] < self.model.revision
        assert len(got) <= news, "told twice"
        assert got or not (news and self.seen[which] == self.model.revision), "kept from it"
        if got:
            assert (got[0].revision, got[0].current.level) == (self.model.revision, self.model.level)
            self.told[app] = self.model.revision
        self._note_seen()

    @rule(which=processes, app=apps, since=st.integers(0, 30))
    def ask_since(self, which: int, app: str, since: int) -> None:
        """What is not what the app has is told however often; it counts as told."""
        found = self.run(self.pair.runtimes[which].ask((app, "default"), since=since))
        if self.seen[which] == self.model.revision:
            assert (found is not None) == (self.model.revision not in {0, since})
        if found is not None:
            assert found.revision == self.model.revision
            self.told[app] = self.model.revision
        self._note_seen()

    @rule(which=processes)
    def look(self, which: int) -> None:
        self.run(self.pair.runtimes[which].synchronise())
        self._note_seen()
        assert self.seen[which] == self.model.revision

    @rule(which=processes)
    def restart(self, which: int) -> None:
        self.pair.runtimes[which] = self.pair.new()
        self.look(which)

    def _note_seen(self) -> None:
        known = [runtime.view.known.get("default") for runtime in self.pair.runtimes]
        self.seen = [0 if each is None else each.revision for each in known]

    @invariant()
    def memory_is_never_ahead(self) -> None:
        assert max(self.seen) <= self.model.revision

    @invariant()
    def history_has_every_number_once(self) -> None:
        changes = self.run(self.pair.db.read(store.find_changes, "default", before=None, limit=500))
        assert [each.revision for each in changes] == list(range(self.model.last, 0, -1))


def test_any_order_of_events_keeps_the_rules(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    def fresh() -> AbstractAsyncContextManager[Pair]:
        folder = tmp_path / uuid4().hex
        folder.mkdir()
        return opened(sqlite_template.copy_to(folder))

    machine = type("Machine", (Levels,), {"opened": staticmethod(fresh)})
    chosen = settings(max_examples=25, stateful_step_count=40, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=chosen)


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_postgresql_keeps_them_too(place: Place) -> None:
    @asynccontextmanager
    async def emptied() -> AsyncIterator[Pair]:
        engine = place.engine()
        with engine.begin() as tx:
            tx.exec_driver_sql("TRUNCATE criticality_signal, criticality_change, criticality_delivery")
        engine.dispose()
        async with opened(place) as pair:
            yield pair

    machine = type("Machine", (Levels,), {"opened": staticmethod(emptied)})
    chosen = settings(max_examples=5, stateful_step_count=40, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=chosen)
