"""Making deliveries: what the job of a delivery does, step by step.

Look at it, wait for its turn, render it, send it, write down what came of it. The provider has accepted a message
before it is recorded as sent, so that a crash in between repeats it, under the same id, and loses nothing.
"""

import asyncio
import logging
import random
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Literal

from sqlalchemy import Connection

from signalbox.core.times import MICROSECONDS, MINUTE, parse_span
from signalbox.infra.context import Context
from signalbox.infra.events import Event, publish
from signalbox.infra.jobs import Done, Job, Kind, Outcome, Snooze
from signalbox.notifications import channel_states, hiding, pacing, store
from signalbox.notifications.channel_settings import DeliverySettings
from signalbox.notifications.channels import Channel, ChannelError, Notice, Sent
from signalbox.notifications.claims import MAX_CARRIED, Pace, Wait, begin
from signalbox.notifications.errors import RenderError
from signalbox.notifications.handover import Handover
from signalbox.notifications.intake import FAILURES
from signalbox.notifications.rendering import to_notice
from signalbox.notifications.routing import Routing
from signalbox.notifications.schemas import Attempt, StoredMessage
from signalbox.notifications.store import Due
from signalbox.notifications.templates import summary

DEAD = "notification.dead"
"""Topic of the event that a delivery was given up."""

HANG = 30.0
"""Seconds beyond a channel's own timeout after which it is not waited for any more."""
CAREFUL = MINUTE
"""How long after a pause messages go one after another."""
_LINE = 150
"""Characters of one message in a digest."""
_SHORTEST_DIGEST = 2_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of sending."""

    sent: Sent | None
    error: ChannelError | None
    at: int
    micros: int

    def to_attempt(self) -> Attempt:
        """As it is kept."""
        if self.sent is not None:
            return Attempt(self.at, self.micros, "sent", self.sent.status, self.sent.excerpt, None)
        error = self.error
        if error is None:
            msg = "neither sent nor failed"
            raise ValueError(msg)
        outcome: Literal["failed", "refused"] = "failed" if error.retry_after is None or error.permanent else "refused"
        return Attempt(self.at, self.micros, outcome, error.status, error.excerpt, error.message)


class Deliverer:
    """Makes the deliveries of one channel."""

    def __init__(
        self,
        context: Context,
        channel: Channel,
        settings: DeliverySettings,
        *,
        routing: Routing,
        handover: Handover,
        restart_spread: int,
    ) -> None:
        self.channel, self.settings = channel, settings
        self._context, self._restart_spread = context, restart_spread
        self._routing, self._handover = routing, handover
        self._retries = [parse_span(wait) for wait in settings.retries]
        self._max_age = parse_span(settings.max_age)
        room = channel.max_length or MAX_CARRIED * _LINE
        self._ended: list[int] = []
        self._careful_until, self._in_turn = 0, asyncio.Lock()
        self.pace = Pace(channel.rate, settings.digest, max(2, min(MAX_CARRIED, room // _LINE)))

    def to_kind(self) -> Kind:
        """How workers run its jobs."""
        return Kind(self.deliver, concurrency=1 if self.pace.rate is not None else self.settings.concurrency)

    async def deliver(self, job: Job) -> Outcome:
        """Make the delivery that a job is for; one after another where the provider has just asked for a pause.

        What waited for its end is due at the same moment. Jobs are begun in the order of their age, and keep it here.
        """
        if self._context.clock.now() >= self._careful_until:
            return await self._deliver(job)
        async with self._in_turn:
            return await self._deliver(job)

    async def _deliver(self, job: Job) -> Outcome:
        context, now = self._context, self._context.clock.now()
        due = await self._find(job, now=now)
        if due is None or due.state not in {"pending", "sending"}:
            return Done()  # swept, sent by an earlier attempt, or told of within another
        if (obstacle := self._obstacle(due, now=now)) is not None:
            return obstacle
        carried: list[StoredMessage] = []
        if takes_turn := self._takes_turn(due, job):
            turn = await context.db.write(begin, due, pace=self.pace, permit=self._permit, hides=self._hides, now=now)
            if turn is None:
                return Done()
            if isinstance(turn, Wait):
                return Snooze(turn.until, turn.reason)
            carried = turn.carried
        try:
            notice = to_notice(due.message, carried, self.settings.template)
        except RenderError as error:
            return self._dead(due, str(error), attempts=due.attempts, attempt=None)
        return self._record(due, await self._send_in_time(notice), carries=takes_turn)

    async def _send_in_time(self, notice: Notice) -> Result:
        """Send, no sooner after earlier messages than the rate says, as the provider sees it.

        The database knows when each message was begun, but not how long it took to get there. The provider counts it
        when it arrives, which is at the latest when its answer comes.
        """
        rate, clock = self.pace.rate, self._context.clock
        if rate is None:
            return await self.send(notice)
        now = clock.now()
        await asyncio.sleep((pacing.next_slot(self._ended, rate, now=now) - now) / MICROSECONDS)
        result = await self.send(notice)
        self._ended = pacing.add_send(self._ended, rate, now=clock.now())
        return result

    async def send(self, notice: Notice) -> Result:
        """Send once; whatever the channel raises is a failure of it."""
        clock = self._context.clock
        at, begun = clock.now(), clock.monotonic()
        sent, failure = None, None
        try:
            async with asyncio.timeout(self.settings.timeout + HANG):
                sent = await self.channel.send(notice)
        except ChannelError as error:
            failure = error
        except TimeoutError:
            failure = ChannelError("the channel did not come to an end")
        except Exception as error:  # noqa: BLE001 - one broken channel is a failed delivery, not a failed worker
            _log.exception("a channel failed unexpectedly", extra={"channel": self.channel.name})
            failure = ChannelError(f"the channel failed unexpectedly: {type(error).__name__}")
        return Result(sent, failure, at, round((clock.monotonic() - begun) * MICROSECONDS))

    # -- before it is sent --------------------------------------------------------------------------------------------

    async def _find(self, job: Job, *, now: int) -> Due | None:
        """The delivery, as it was handed over where this process has just accepted it, else as the database has it."""
        number = int(job.payload["delivery"])
        due = self._handover.take(number, now=now) if job.claim == 1 and now >= self._careful_until else None
        return due or await self._context.db.read(store.find_due, number)

    def _obstacle(self, due: Due, *, now: int) -> Outcome | None:
        """What keeps it from being sent now."""
        if due.disabled_reason is not None:
            reason = f"the channel is disabled: {due.disabled_reason}"
            return self._dead(due, reason, attempts=due.attempts, attempt=None)
        if due.attempts > 0 and now > due.since + self._max_age:
            return self._dead(due, f"older than {self.settings.max_age}", attempts=due.attempts, attempt=None)
        if due.paused_until is not None and due.paused_until > now:
            return Snooze(due.paused_until, "the provider asked to be left alone for a while")
        if due.attempts == 0:
            return None
        due_at = pacing.spread(due.due_at, now=now, over=self._restart_spread, fraction=random.random())
        if due_at <= now:
            return None
        reason = "overdue, as many may be: they are spread"
        then = partial(store.set_waiting, number=due.number, due_at=due_at, attempts=due.attempts, reason=reason)
        return Snooze(due_at, reason, then)

    def _takes_turn(self, due: Due, job: Job) -> bool:
        """Whether it must be taken first: others may go with it, it may be hidden by now, or its sends are counted.

        Where it was begun before, others may go with it whatever the settings say by now.
        """
        has_budget = self.channel.host is not None and self._context.budgets.name_of(self.channel.host) is not None
        waited = job.claim > 1 or due.due_at > due.since
        return self.pace.rate is not None or due.group_key is not None or waited or has_budget

    def _hides(self, tx: Connection, of: StoredMessage, now: int) -> str | None:
        """Why a message is not to be told by now."""
        return hiding.find_reason_now(tx, of, routing=self._routing, now=now)

    def _permit(self, tx: Connection, now: int) -> Wait | None:
        """A permit of the budget of the channel's host; None, or when to ask again and why."""
        host, budgets = self.channel.host, self._context.budgets
        if host is None or budgets.name_of(host) is None:
            return None
        grant = budgets.take(tx, host, now=now)
        if grant.count:
            return None
        reason = "its host asked to be left alone for a while" if grant.paused else "waits for the budget of its host"
        return Wait(grant.retry_at or now + MICROSECONDS, reason)

    # -- after it was sent --------------------------------------------------------------------------------------------

    def _record(self, due: Due, result: Result, *, carries: bool) -> Outcome:
        attempt, now, error = result.to_attempt(), self._context.clock.now(), result.error
        if result.sent is not None:
            return Done(partial(_write_sent, due=due, sent=result.sent, attempt=attempt, carries=carries, now=now))
        if error is None or error.permanent:
            reason = attempt.error or ""
            disable = error is not None and error.disable
            return self._dead(due, reason, attempts=due.attempts + 1, attempt=attempt, disable=disable)
        if error.retry_after is not None:
            until = pacing.pause_end(error.retry_after, now=now)
            if until > due.since + self._max_age:
                return self._dead(due, error.message, attempts=due.attempts, attempt=attempt)
            self._careful_until = max(self._careful_until, until + CAREFUL)
            # the place in the queue is kept: among what is due together the oldest goes first
            return Snooze(until, error.message, partial(self._write_pause, due=due, until=until, attempt=attempt))
        failures = due.attempts + 1
        wait = pacing.retry_delay(self._retries, failures, random.random())
        if wait is None or now + wait > due.since + self._max_age:
            return self._dead(due, error.message, attempts=failures, attempt=attempt)
        due_at, pauses = now + wait, error.status == HTTPStatus.TOO_MANY_REQUESTS
        if pauses:  # it does not say for how long: as long as before a retry, and that counts
            self._careful_until = max(self._careful_until, due_at + CAREFUL)
        then = partial(_write_failed, due=due, due_at=due_at, attempt=attempt, pauses=pauses)
        return Snooze(due_at, error.message, then)

    def _write_pause(self, tx: Connection, *, due: Due, until: int, attempt: Attempt) -> None:
        """The channel is left alone, and its host by everybody who calls it by a budget."""
        _note(tx, due, attempt)
        reason = attempt.error or ""
        store.set_waiting(tx, due.number, due_at=due.due_at, attempts=due.attempts, reason=reason)
        channel_states.pause(tx, due.channel, until=until)
        if self.channel.host is not None:
            self._context.budgets.pause(tx, self.channel.host, until=until)

    def _dead(self, due: Due, reason: str, *, attempts: int, attempt: Attempt | None, disable: bool = False) -> Done:
        now = self._context.clock.now()
        _log.warning(
            "a notification was given up",
            extra={"channel": due.channel, "notification": due.message.id, "reason": reason},
        )

        def write(tx: Connection) -> None:
            _note(tx, due, attempt)
            store.set_dead(tx, due.number, attempts=attempts, reason=reason, now=now)
            store.set_carried(tx, due.number, state="dead", reason=reason, now=now)
            ended = due.disabled_reason is not None
            if disable and not channel_states.disable(tx, due.channel, reason=reason, now=now):
                ended = True  # meanwhile, by another that was under way
            if not ended and due.message.topic not in FAILURES:  # the end of a channel was told, once
                publish(tx, _to_event(due, reason), now=now)

        return Done(write)


def _note(tx: Connection, due: Due, attempt: Attempt | None) -> None:
    if attempt is not None:
        store.insert_attempt(tx, due.number, due.channel, attempt)


def _write_sent(tx: Connection, *, due: Due, sent: Sent, attempt: Attempt, carries: bool, now: int) -> None:
    _note(tx, due, attempt)
    store.set_sent(tx, due.number, provider_id=sent.provider_id, now=now)
    if carries:
        store.set_carried(tx, due.number, state="sent", reason=f"told of within {due.message.id}", now=now)


def _write_failed(tx: Connection, *, due: Due, due_at: int, attempt: Attempt, pauses: bool) -> None:
    _note(tx, due, attempt)
    store.set_waiting(tx, due.number, due_at=due_at, attempts=due.attempts + 1, reason=attempt.error or "")
    if pauses:
        channel_states.pause(tx, due.channel, until=due_at)


def _to_event(due: Due, reason: str) -> Event:
    of = due.message
    data = {"channel": due.channel, "message": of.id, "topic": of.topic, "reason": reason}
    return Event(DEAD, {**data, "description": summary(of.description)}, severity="error")
