"""The submit pump of one provider: takes permits and tasks, sends them at once, writes down what came of it."""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Final

from signalbox.core.times import MICROSECONDS
from signalbox.infra.context import Context
from signalbox.infra.db import CommitUnknownError, DatabaseUnavailableError
from signalbox.infra.http import TooLateError
from signalbox.infra.jobs import Job
from signalbox.tasks import submit, verdicts
from signalbox.tasks.errors import LeaseLostError
from signalbox.tasks.journal import Journal
from signalbox.tasks.providers import Outgoing, PollFailedError, Provider, SubmitRefusedError
from signalbox.tasks.pump import LONGEST_REST
from signalbox.tasks.verdicts import Assignment, Patience, Verdict

RUN: Final = 5 * MICROSECONDS
"""How long a run takes tasks; then it is handed over, so that a process that ends need not break one off."""
GLANCE: Final = 0.05
"""Seconds after which new tasks are looked for while calls are under way."""
FIRST_HOLD: Final = MICROSECONDS // 20
LONGEST_HOLD: Final = 5 * MICROSECONDS
"""Time for which permits are taken at most, where this process is too slow to use them at once."""
AWAY_PAUSE: Final = 0.5
"""Seconds until a database that was away is tried again."""

_log = logging.getLogger(__name__)


class Submitter:
    """One run of the pump. Nobody else submits to the provider meanwhile: that is what the lease of its job says."""

    def __init__(
        self,
        context: Context,
        provider: Provider,
        job: Job,
        *,
        patience: Patience,
        journal: Journal,
        concurrency: int,
        margin: int,
    ) -> None:
        """``margin``: microseconds for which a permit is good, from when its transaction was asked for."""
        self._context, self._provider, self._job = context, provider, job
        self._patience, self._journal, self._concurrency = patience, journal, concurrency
        self._sending: set[asyncio.Task[None]] = set()
        self._ended: list[Verdict] = []
        self._margin, self._hold, self._was_late = margin, 0, False
        self._counts = bool(provider.limits) or context.budgets.name_of(provider.host) is not None
        self._lease_until = 0
        self._paused_until = 0

    async def run(self) -> None:
        """Submit what is due until nothing is, there are no permits, or it is time to hand over."""
        context = self._context
        started = context.clock.now()
        try:
            await context.db.write(
                submit.adopt,
                self._provider,
                job=self._job,
                patience=self._patience,
                journal=self._journal,
                now=started,
            )
            while not await self._cycle(until=started + RUN):
                pass
        except LeaseLostError as error:
            _log.warning("a submit pump stops", extra={"provider": self._provider.name, "reason": str(error)})
        finally:
            await self._stop()

    async def _cycle(self, *, until: int) -> bool:
        """One transaction, and the calls that follow from it; whether the run has ended."""
        now = self._context.clock.now()
        over = now >= until
        found = await self._step(room=0 if over else self._concurrency - len(self._sending), now=now)
        good_until = now + self._margin + self._hold if self._counts else self._lease_until
        self._adapt(late=self._was_late or (bool(found.batch) and self._context.clock.now() > good_until))
        for each in found.batch:
            task = asyncio.create_task(self._send(each, good_until))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        if self._sending:
            await self._wait(found.retry_at)
            return False
        if self._ended:
            return False
        if over or found.retry_at is not None:
            await self._hand_over(max(found.retry_at or 0, now))
            return True
        return await self._context.db.write(submit.rest, self._provider, job=self._job, now=self._context.clock.now())

    async def _step(self, *, room: int, now: int) -> submit.Step:
        """One transaction. While the database is away, what came of calls is kept for as long as the lease lasts."""
        while True:
            ended, self._ended = self._ended, []
            try:
                return await self._write_step(ended, room=room, now=now)
            except (DatabaseUnavailableError, CommitUnknownError) as error:
                self._ended = ended + self._ended
                if not (self._ended or self._sending) or self._context.clock.now() >= self._lease_until:
                    raise
                _log.warning("submissions wait to be recorded", extra={"reason": str(error)})
            await asyncio.sleep(AWAY_PAUSE)
            room, now = 0, self._context.clock.now()

    async def _write_step(self, ended: Sequence[Verdict], *, room: int, now: int) -> submit.Step:
        found = await self._context.db.write(
            submit.step,
            self._provider,
            ended,
            job=self._job,
            budgets=self._context.budgets,
            journal=self._journal,
            room=room,
            hold=self._hold,
            now=now,
        )
        self._lease_until = found.lease_until
        return found

    def _adapt(self, *, late: bool) -> None:
        """Take permits for longer where this process, or connecting, is slow: a late call could be one too many."""
        self._was_late = False
        if late:
            self._hold = min(LONGEST_HOLD, max(FIRST_HOLD, self._hold * 2))
        else:
            self._hold = self._hold * 7 // 8

    async def _hand_over(self, following: int) -> None:
        now = self._context.clock.now()
        following = min(following, now + LONGEST_REST)
        await self._context.db.write(submit.hand_over, job=self._job, following=following, now=now)

    async def _wait(self, retry_at: int | None) -> None:
        """Until a call has ended, or there may be something new to send."""
        full = len(self._sending) >= self._concurrency
        pause = None if full else GLANCE
        if retry_at is not None and not full:
            pause = max(GLANCE, (retry_at - self._context.clock.now()) / MICROSECONDS)
        await asyncio.wait(self._sending, timeout=pause, return_when=asyncio.FIRST_COMPLETED)

    async def _send(self, task: Assignment, good_until: int) -> None:
        now = self._context.clock.now()
        if now < self._paused_until:
            self._ended.append(verdicts.unsent(task, until=self._paused_until))
        elif now >= self._lease_until or now > good_until:
            self._ended.append(verdicts.unsent(task, until=now))
        else:
            send_by = asyncio.get_running_loop().time() + (min(good_until, self._lease_until) - now) / MICROSECONDS
            verdict = await self._call(task, send_by)
            self._paused_until = max(self._paused_until, verdict.pause_until or 0)
            self._ended.append(verdict)

    async def _call(self, task: Assignment, send_by: float) -> Verdict:
        try:
            return await self._attempt(task, send_by)
        except TooLateError:  # the connection stands by now, and the next permit finds it
            self._was_late = True
            return verdicts.unsent(task, until=self._context.clock.now())
        except SubmitRefusedError as error:
            now, fraction = self._context.clock.now(), random.random()
            return verdicts.refused(task, error, now=now, fraction=fraction, patience=self._patience)
        except PollFailedError as error:
            now, fraction = self._context.clock.now(), random.random()
            return verdicts.lookup_failed(task, error, now=now, fraction=fraction, patience=self._patience)
        except Exception as error:  # noqa: BLE001 - one task that nobody can send must not keep the others from it
            _log.exception("a submission failed", extra={"task": task.id, "provider": self._provider.name})
            now, fraction = self._context.clock.now(), random.random()
            reason = f"{type(error).__name__} in the hub"
            return verdicts.doubtful(task, reason, now=now, fraction=fraction, patience=self._patience)

    async def _attempt(self, task: Assignment, send_by: float) -> Verdict:
        provider = self._provider
        if task.doubtful and not provider.is_idempotent:
            receipt = await provider.look_up(task.reference, send_by=send_by)
            if receipt is None:
                return verdicts.not_found(task, now=self._context.clock.now(), patience=self._patience)
        else:
            receipt = await provider.submit(Outgoing(task.id, task.reference, task.payload, task.attempt, send_by))
        return verdicts.submitted(task, receipt, now=self._context.clock.now(), patience=self._patience)

    async def _stop(self) -> None:
        """End what is under way: whoever has the lease now clears up what became of it."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
