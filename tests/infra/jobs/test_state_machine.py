"""Random claims, crashes, late reports, cancellations and replays, against a model of the rules.

No job runs twice at the same time, none is lost, whatever the order.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from signalbox.core.errors import ConflictError
from signalbox.infra.jobs import Backoff, Fail, Job, NewJob, Snooze, outcomes
from signalbox.infra.jobs.job import Report
from tests.support.databases import SqliteTemplate
from tests.support.jobs import SECOND, START, Desk, open_desk

LEASE = 10 * SECOND
KINDS = ("test.a", "test.b")
LIVE = ("waiting", "running")


@dataclass
class Model:
    """What the rules say of one job."""

    kind: str
    key: str | None
    priority: int
    due_at: int
    max_attempts: int
    state: str = "waiting"
    attempts: int = 0
    claim: int = 0
    worker: str = ""
    lease_until: int = 0
    unwanted: bool = False
    successes: int = 0
    deaths: int = 0
    holders: dict[int, int] = field(default_factory=dict)
    """Ends of leases whose holders have not reported, by claim."""


class Jobs(RuleBasedStateMachine):
    """Hypothesis chooses what happens next; ``opened`` makes the queue that it happens to."""

    opened: Callable[[], AbstractAsyncContextManager[Desk]]

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.jobs: dict[int, Model] = {}
        self.runner = asyncio.Runner()
        self.scope = type(self).opened()
        self.desk = self.run(self.scope.__aenter__())

    def run(self, work: Any) -> Any:
        async def inside() -> Any:
            return await work

        return self.runner.run(inside())

    def teardown(self) -> None:
        self.run(self.scope.__aexit__(None, None, None))
        self.runner.close()

    claims = Bundle("claims")

    @rule(
        kind=st.sampled_from(KINDS),
        key=st.sampled_from([None, None, "k"]),
        priority=st.sampled_from([-1, 0, 1]),
        delay=st.integers(-5, 20),
        max_attempts=st.integers(1, 3),
    )
    def enqueue(self, kind: str, key: str | None, priority: Any, delay: int, max_attempts: int) -> None:
        due_at = self.now + delay * SECOND
        new = NewJob(kind, {}, due_at, key, priority, max_attempts)
        taken = any((each.kind, each.key) == (kind, key) and each.state in LIVE for each in self.jobs.values())
        number = self.run(self.desk.enqueue(new, self.now))
        assert (number is None) == (key is not None and taken)
        if number is not None:
            assert number not in self.jobs
            self.jobs[number] = Model(kind, key, priority, due_at, max_attempts)

    @rule(target=claims, kind=st.sampled_from(KINDS), worker=st.sampled_from("xyz"), limit=st.integers(1, 4))
    def claim(self, kind: str, worker: str, limit: int) -> Any:
        due = [
            (-each.priority, each.due_at, number)
            for number, each in self.jobs.items()
            if (each.kind, each.state) == (kind, "waiting") and each.due_at <= self.now
        ]
        found = self.run(self.desk.queue.claim(kind, worker=worker, limit=limit, now=self.now))
        assert [job.id for job in found] == [number for *_, number in sorted(due)[:limit]]
        for job in found:
            self._take(job, worker)
        return multiple(*found)

    def _take(self, job: Job, worker: str) -> None:
        model = self.jobs[job.id]
        assert all(end <= self.now for end in model.holders.values()), "two hold it at the same time"
        model.state, model.worker, model.lease_until = "running", worker, self.now + LEASE
        model.attempts += 1
        model.claim += 1
        model.holders[job.claim] = model.lease_until
        assert (job.attempt, job.claim, job.lease_until) == (model.attempts, model.claim, model.lease_until)
        assert job.attempt <= job.max_attempts

    @rule(job=consumes(claims), how=st.sampled_from(["done", "fail", "raise", "snooze", "release", "cancelled"]))
    def report(self, job: Job, how: str) -> None:
        self._report(job, how)

    @rule(job=claims, how=st.sampled_from(["done", "raise", "snooze"]))
    def report_and_keep_the_claim(self, job: Job, how: str) -> None:
        """A worker that does not know that it has reported already."""
        self._report(job, how)

    def _report(self, job: Job, how: str) -> None:
        model, report = self.jobs[job.id], self._say(job, how)
        current = (model.state, model.claim) == ("running", job.claim)
        model.holders.pop(job.claim, None)
        kept = self.run(self.desk.queue.record([report], now=self.now))
        assert (kept != [None]) == current
        if current:
            self._settle(model, report)
            assert kept == [model.state]

    def _say(self, job: Job, how: str) -> Report:
        if how == "raise":
            return outcomes.of_failure(job, ValueError("x"), now=self.now, backoff=Backoff(SECOND, SECOND), fraction=1)
        if how == "release":
            return outcomes.of_release(job, now=self.now)
        if how == "cancelled":
            return outcomes.of_cancellation(job)
        said = {"done": None, "fail": Fail("x"), "snooze": Snooze(self.now + 3 * SECOND)}[how]
        return outcomes.of_outcome(job, said)

    def _settle(self, model: Model, report: Report) -> None:
        model.state = "cancelled" if model.unwanted and report.state == "waiting" else report.state
        model.due_at = report.due_at
        model.attempts -= report.uncounted
        model.successes += model.state == "done"
        model.deaths += model.state == "dead"

    @rule(seconds=st.sampled_from([0.5, 3, 9, 11, 30]))
    def wait(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    @rule(worker=st.sampled_from("xyz"))
    def renew(self, worker: str) -> None:
        held = self.run(self.desk.queue.renew(worker=worker, now=self.now))
        mine = {n: each for n, each in self.jobs.items() if (each.state, each.worker) == ("running", worker)}
        assert {number: (each.claim, each.cancelled) for number, each in held.items()} == {
            number: (each.claim, each.unwanted) for number, each in mine.items()
        }
        for number, each in held.items():
            assert each.lease_until > self.now + LEASE // 2
            self.jobs[number].lease_until = each.lease_until
            if each.claim in self.jobs[number].holders:
                self.jobs[number].holders[each.claim] = each.lease_until

    @rule()
    def recover(self) -> None:
        lapsed = {n: each for n, each in self.jobs.items() if each.state == "running" and each.lease_until <= self.now}
        assert self.run(self.desk.queue.recover(now=self.now)) == len(lapsed)
        for number, model in lapsed.items():
            stored = self.run(self.desk.find(number))
            dead = model.attempts >= model.max_attempts
            model.state = "dead" if dead else "cancelled" if model.unwanted else "waiting"
            model.deaths += dead
            longest = 0 if model.attempts == 1 else SECOND << (model.attempts - 1)
            assert dead or self.now <= stored.due_at <= self.now + longest
            model.due_at = stored.due_at

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = self._any(data)
        if number is None:
            return
        model = self.jobs[number]
        if model.state not in LIVE:
            with pytest.raises(ConflictError):
                self.run(self.desk.cancel(number, self.now))
            return
        self.run(self.desk.cancel(number, self.now))
        model.unwanted = True
        if model.state == "waiting":
            model.state = "cancelled"

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        number = self._any(data)
        if number is None:
            return
        model = self.jobs[number]
        others = (each for n, each in self.jobs.items() if n != number and each.state in LIVE)
        taken = model.key is not None and any((each.kind, each.key) == (model.kind, model.key) for each in others)
        if taken or model.state in ("running", "done"):
            with pytest.raises(ConflictError):
                self.run(self.desk.retry(number, self.now))
            return
        self.run(self.desk.retry(number, self.now))
        model.state, model.due_at, model.attempts, model.unwanted = "waiting", self.now, 0, False

    def _any(self, data: st.DataObject) -> int | None:
        return data.draw(st.sampled_from(sorted(self.jobs))) if self.jobs else None

    @invariant()
    def nothing_is_lost_and_all_is_as_the_rules_say(self) -> None:
        stored = {each.id: (each.state, each.attempts, each.claim) for each in self.run(self.desk.find_all())}
        assert stored == {n: (each.state, each.attempts, each.claim) for n, each in self.jobs.items()}
        assert all(each.successes <= 1 for each in self.jobs.values())

    @invariant()
    def each_death_is_told(self) -> None:
        deaths = sum(each.deaths for each in self.jobs.values())
        assert len(self.run(self.desk.events())) == deaths


@pytest.mark.parametrize(("version", "examples"), [("memory", 60), ("sqlite", 25)])
def test_jobs_hold_to_the_rules(
    version: str, examples: int, sqlite_template: SqliteTemplate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened() -> AbstractAsyncContextManager[Desk]:
        folder = tmp_path / uuid4().hex
        folder.mkdir()
        return open_desk(version, sqlite_template.copy_to(folder), lease=LEASE)

    machine = type("Machine", (Jobs,), {"opened": staticmethod(opened)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
