"""The transactions of the submit pump: what is to be sent now, and what came of it.

A task is marked as being submitted, with its reference, in the transaction that takes its permit; it is sent after
COMMIT. Whoever finds it so marked later knows that it may have arrived.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Update, bindparam, case, func, literal_column, select, update

from signalbox.infra.db import Dialect
from signalbox.infra.db.rows import DIALECTS, bound_rows, encode_rows
from signalbox.infra.events import Event, publish
from signalbox.infra.jobs import Job
from signalbox.infra.limits.budgets import Budgets
from signalbox.tasks import pump, rounds
from signalbox.tasks.journal import Journal
from signalbox.tasks.models import QUEUED, SUBMITTING, UNCLEAR, task
from signalbox.tasks.providers import Provider
from signalbox.tasks.schemas import Change, Source
from signalbox.tasks.verdicts import DEAD, Assignment, Patience, Verdict, doubtful, flag_of

_c = task.c

TOLD: Final = 20
"""Failed tasks of one transaction that get an event each; of more there is one event together."""


class Step(NamedTuple):
    """What a step of the pump brought."""

    batch: list[Assignment]
    """To be sent at once."""
    lease_until: int
    """Nothing may be sent from then on."""
    retry_at: int | None
    """When there will be permits for what still waits; None if there were enough."""
    taken: list[Verdict]
    """What was recorded; the others came too late."""


# -- take -------------------------------------------------------------------------------------------------------------

_UNCLEAR: Final = (
    select(_c.id)
    .where(UNCLEAR, _c.provider == bindparam("provider"), _c.next_at <= bindparam("now"))
    .order_by(_c.next_at)
    .limit(bindparam("limit"))
)
_IDS: Final = {dialect: bound_rows(dialect, "rows", {"id": _c.id.type}, "chosen") for dialect in DIALECTS}


def _mark(dialect: Dialect) -> Update:
    chosen = select(_IDS[dialect].c.id)
    now = bindparam("now", type_=_c.next_at.type)
    return (
        update(task)
        .where(_c.id.in_(chosen), QUEUED | UNCLEAR)
        .values(
            phase=literal_column("'submitting'"),
            attempts=_c.attempts + 1,
            # of an unclear one it is the look that takes a permit, and it is to be known since when it may have arrived
            sent_at=case((UNCLEAR, func.coalesce(_c.sent_at, now)), else_=now),
        )
        .returning(_c.id, _c.app, _c.reference, _c.payload, _c.attempts, _c.status, _c.sent_at, _c.created_at)
    )


_MARK: Final[dict[str, Update]] = {dialect: _mark(dialect) for dialect in DIALECTS}
_ORPHANS: Final = select(
    _c.id, _c.app, _c.reference, _c.payload, _c.attempts, _c.status, _c.sent_at, _c.created_at
).where(SUBMITTING, _c.provider == bindparam("provider"))


def adopt(tx: Connection, provider: Provider, *, job: Job, patience: Patience, journal: Journal, now: int) -> None:
    """Begin a run: what an earlier one left in the middle of its submission is of unknown outcome."""
    pump.lease_of(tx, job, now=now)
    found = [_to_assignment(row, {}) for row in tx.execute(_ORPHANS, {"provider": provider.name})]
    verdicts = [
        doubtful(each, "the process ended in the middle", now=now, fraction=0.0, patience=patience) for each in found
    ]
    record(tx, provider, verdicts, journal=journal, now=now)


def step(
    tx: Connection,
    provider: Provider,
    verdicts: Sequence[Verdict],
    *,
    job: Job,
    budgets: Budgets,
    journal: Journal,
    room: int,
    hold: int,
    now: int,
) -> Step:
    """Record what has ended, and take as many tasks as there is room and are permits; ``hold`` as in ``Budgets.take``.

    Raises:
        LeaseLostError: another process has the job by now; nothing was written.
    """
    lease_until = pump.lease_of(tx, job, now=now)
    taken = record(tx, provider, verdicts, journal=journal, now=now)
    for each in verdicts:
        if each.pause_until is not None:
            budgets.pause(tx, provider.host, until=each.pause_until)
    waiting = dict.fromkeys(
        tx.execute(_UNCLEAR, {"provider": provider.name, "now": now, "limit": -(-room // 2)}).scalars()
    )
    turns = rounds.choose(tx, provider.name, limit=room - len(waiting), now=now)
    wanted = [*waiting, *(turn.id for turn in turns)]
    if not wanted:
        return Step([], lease_until, None, taken)
    grant = budgets.take(
        tx,
        provider.host,
        count=len(wanted),
        extra=provider.limits,
        extra_share=provider.poll_share,
        hold=hold,
        now=now,
    )
    chosen = wanted[: grant.count]
    if len(chosen) > len(waiting):
        rounds.note_turn(tx, provider.name, turns[len(chosen) - len(waiting) - 1].app)
    retry_at = grant.retry_at if len(chosen) < len(wanted) else None
    return Step(_assign(tx, chosen, waiting, now), lease_until, retry_at, taken)


def _assign(tx: Connection, chosen: Sequence[int], waiting: dict[int, None], now: int) -> list[Assignment]:
    if not chosen:
        return []
    rows = tx.execute(_MARK[tx.dialect.name], {"rows": encode_rows([[each] for each in chosen]), "now": now})
    found = {row[0]: _to_assignment(row, waiting) for row in rows}
    return [found[each] for each in chosen if each in found]


def _to_assignment(row: Any, waiting: dict[int, None]) -> Assignment:
    number, app, reference, payload, attempt, status, sent_at, created_at = row
    return Assignment(
        number, app, reference, json.loads(payload), attempt, status, sent_at, created_at, number in waiting
    )


# -- record -----------------------------------------------------------------------------------------------------------


def _record(dialect: Dialect) -> Update:
    columns = {
        "id": _c.id.type,
        "attempt": _c.attempts.type,
        "reference": _c.reference.type,
        "phase": _c.phase.type,
        "status": _c.status.type,
        "next_at": _c.next_at.type,
        "error": _c.validation_error.type,
        "external_id": _c.external_id.type,
        "poll_key": _c.poll_key.type,
        "raw_status": _c.raw_status.type,
        "flag": _c.flag.type,
        "uncounted": _c.attempts.type,
    }
    said = bound_rows(dialect, "rows", columns, "said")
    return (
        update(task)
        # attempts begin anew when a task is tried again, with another reference
        .where(_c.id == said.c.id, _c.attempts == said.c.attempt, _c.reference == said.c.reference, SUBMITTING)
        .values(
            phase=said.c.phase,
            status=said.c.status,
            next_at=said.c.next_at,
            validation_error=said.c.error,
            external_id=said.c.external_id,
            poll_key=said.c.poll_key,
            raw_status=said.c.raw_status,
            flag=said.c.flag,
            attempts=_c.attempts - said.c.uncounted,
            updated_at=bindparam("now", type_=_c.updated_at.type),
        )
        .returning(_c.id)
    )


_RECORD: Final[dict[str, Update]] = {dialect: _record(dialect) for dialect in DIALECTS}


def record(
    tx: Connection, provider: Provider, verdicts: Sequence[Verdict], *, journal: Journal, now: int
) -> list[Verdict]:
    """Write down what came of assignments; those that count, which are not such of tasks that others have changed."""
    if not verdicts:
        return []
    rows = [_to_row(each) for each in verdicts]
    kept = set(tx.execute(_RECORD[tx.dialect.name], {"rows": encode_rows(rows), "now": now}).scalars())
    taken = [each for each in verdicts if each.task.id in kept]
    journal.write(tx, [change for each in taken for change in _changes(each, now)])
    tell(tx, provider.name, taken, now=now)
    polled = [each.next_at for each in taken if each.phase == "submitted"]
    if polled:
        pump.wake(tx, pump.POLL, provider.name, now=now, due_at=min(polled))
    return taken


def _to_row(of: Verdict) -> tuple[Any, ...]:
    poll_key = (of.external_id or str(of.task.id)) if of.phase == "submitted" else None
    return (
        of.task.id,
        of.task.attempt,
        of.task.reference,
        of.phase,
        of.status,
        of.next_at,
        of.error,
        of.external_id,
        poll_key,
        of.raw_status,
        flag_of(of.raw_status),
        of.uncounted,
    )


def _changes(of: Verdict, now: int) -> list[Change]:
    """What the history tells of a verdict: nothing where a task was only put off."""
    if of.detail is None:
        return []
    source: Source = "system" if of.topic == DEAD or of.phase in ("unclear", "queued") else "submit"
    return [Change(of.task.id, now, of.task.status, of.status, source, of.detail)]


def tell(tx: Connection, provider: str, verdicts: Sequence[Verdict], *, now: int) -> None:
    """Publish what has failed."""
    for topic in sorted({each.topic for each in verdicts if each.topic is not None}):
        failed = [(each.task.id, each.task.app, each.error) for each in verdicts if each.topic == topic]
        publish_failures(tx, topic, provider, failed, now=now)


def publish_failures(
    tx: Connection, topic: str, provider: str, failed: Sequence[tuple[int, str, str | None]], *, now: int
) -> None:
    """An event for each failed task (id, app, reason); one for all where they are many."""
    if len(failed) > TOLD:
        ids, reason = [number for number, _, _ in failed[:TOLD]], failed[0][2]
        data = {"provider": provider, "count": len(failed), "ids": ids, "reason": reason}
        publish(tx, Event(topic, data, severity="error"), now=now)
        return
    for number, app, reason in failed:
        data = {"provider": provider, "count": 1, "ids": [number], "reason": reason, "id": number, "app": app}
        publish(tx, Event(topic, data, severity="error"), now=now)


# -- rest -------------------------------------------------------------------------------------------------------------

_FIRST_UNCLEAR: Final = select(func.min(_c.next_at)).where(UNCLEAR, _c.provider == bindparam("provider"))


def rest(tx: Connection, provider: Provider, *, job: Job, now: int) -> bool:
    """End the run if nothing is due; tasks that wait for later wake the pump then.

    Raises:
        LeaseLostError: another process has the job by now.
    """
    pump.close(tx, pump.SUBMIT, provider.name)
    due = first_due(tx, provider.name)
    if due is not None and due <= now:
        return False
    pump.end(tx, job, following=None, now=now)
    if due is not None:
        pump.wake_later(tx, provider.name, due_at=due, now=now)
    return True


def hand_over(tx: Connection, *, job: Job, following: int, now: int) -> None:
    """End the run; it goes on at ``following``, and not before.

    Raises:
        LeaseLostError: another process has the job by now.
    """
    pump.end(tx, job, following=following, now=now)


def has_orphans(tx: Connection, provider: str) -> bool:
    """Whether the submission of a task is under way, or was when its process ended."""
    return tx.execute(_ORPHANS.limit(1), {"provider": provider}).first() is not None


def first_due(tx: Connection, provider: str) -> int | None:
    """When the first of a provider's waiting tasks is due, maybe long ago; None where none waits."""
    unclear = tx.execute(_FIRST_UNCLEAR, {"provider": provider}).scalar()
    found = [unclear, rounds.first_due(tx, provider)]
    return min((each for each in found if each is not None), default=None)
