"""Tasks of the past: handed over, submitted and polled as the pumps do it, while a provider answers from memory."""

import random
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from signalbox.app.demo_replay import LEASE, WORKER
from signalbox.core.times import MICROSECONDS
from signalbox.infra.jobs import Job
from signalbox.infra.jobs.outcomes import of_outcome
from signalbox.infra.jobs.queue import claim, record
from signalbox.tasks import intake, poll, pump, submit, verdicts
from signalbox.tasks.jobs import patience_of
from signalbox.tasks.providers import Provider, Receipt, Sighting, SubmitRefusedError
from signalbox.tasks.runtime import TasksRuntime
from signalbox.tasks.schemas import NewTask
from signalbox.tasks.verdicts import Assignment, Verdict

APPS: Final = ("back-end", "back-end", "onboarding")
REFUSED: Final = 0.04
"""Share of tasks that the provider does not take."""
FAILED: Final = 0.1
"""Share of tasks that it takes and that fail."""

_CALL: Final = 120_000
"""Microseconds of a submission."""
_REASONS: Final = ("the certificate has expired", "no answer on port 443", "the name cannot be resolved")


class PastTasks:
    """Tasks for one provider."""

    def __init__(self, runtime: TasksRuntime, provider: str, dice: random.Random) -> None:
        self._runtime, self._dice = runtime, dice
        self._context, self._journal = runtime.context, runtime.journal
        self._provider: Provider = runtime.providers[provider]
        self._patience = patience_of(runtime.settings, self._provider)

    def add(self, tx: Connection, *, count: int, now: int) -> int:
        """Hand over ``count`` tasks, which all end; the moment of the last poll. Budgets must have room for them."""
        app = self._dice.choice(APPS)
        for _ in range(count):
            new = NewTask(provider=self._provider.name, payload=_payload(self._dice))
            intake.accept(tx, new, desk=self._runtime.desk, journal=self._journal, app=app, now=now)
        taken = self._submit(tx, count, now)
        keys = [each.external_id for each in taken if each.external_id is not None]
        if not keys:
            return now + _CALL
        now += _CALL + self._patience.poll_after
        self._poll(tx, {key: Sighting(key, "In Progress", None) for key in keys}, now)
        now += self._patience.poll_after
        self._poll(tx, {key: self._ended(key) for key in keys}, now)
        return now

    def _submit(self, tx: Connection, count: int, now: int) -> list[Verdict]:
        provider, job = self._provider, _claim(tx, pump.SUBMIT, now)
        batch = self._step(tx, job, [], room=count, now=now).batch
        said = [self._answer(each, now + _CALL) for each in batch]
        taken = self._step(tx, job, said, room=0, now=now + _CALL).taken
        submit.rest(tx, provider, job=job, now=now + _CALL)
        _done(tx, job, now + _CALL)
        return taken

    def _step(self, tx: Connection, job: Job, said: Sequence[Verdict], *, room: int, now: int) -> submit.Step:
        return submit.step(
            tx,
            self._provider,
            said,
            job=job,
            budgets=self._context.budgets,
            journal=self._journal,
            room=room,
            hold=0,
            now=now,
        )

    def _answer(self, to: Assignment, now: int) -> Verdict:
        if self._dice.random() < REFUSED:
            error = SubmitRefusedError("the address is reserved", permanent=True, sent=False)
            return verdicts.refused(to, error, now=now, fraction=0.5, patience=self._patience)
        receipt = Receipt(f"chk-{self._dice.getrandbits(40):010x}", "Not Started")
        return verdicts.submitted(to, receipt, now=now, patience=self._patience)

    def _ended(self, key: str) -> Sighting:
        if self._dice.random() < FAILED:
            return Sighting(key, "Error", self._dice.choice(_REASONS))
        return Sighting(key, "Completed", None)

    def _poll(self, tx: Connection, seen: Mapping[str, Sighting], now: int) -> None:
        provider, missing = self._provider, self._runtime.settings.missing_after
        job = _claim(tx, pump.POLL, now)
        poll.begin(tx, provider, job=job, budgets=self._context.budgets, count=1, hold=0, now=now)
        news = poll.find_news(tx, provider.name, seen, after=0, missing_after=missing, began=now)
        changed = sum([poll.apply(tx, provider, page, job=job, journal=self._journal, now=now) for page in news.pages])
        poll.note(tx, provider.name, poll.Tally(len(seen), changed), error=None, now=now)
        following = now + round(provider.poll_interval * MICROSECONDS)
        poll.rest(tx, [provider.name], job=job, following=following, now=now)
        _done(tx, job, now)


def _payload(dice: random.Random) -> dict[str, str]:
    return {"address": f"10.{dice.randrange(256)}.{dice.randrange(256)}.1"}


def _claim(tx: Connection, kind: str, now: int) -> Job:
    (job,) = claim(tx, kind, worker=WORKER, limit=1, now=now, lease=LEASE)
    return job


def _done(tx: Connection, job: Job, now: int) -> None:
    record(tx, [of_outcome(job, None)._replace(forgets=True)], now=now)  # as of pumps everywhere
