"""Queries about tasks; those of the pumps stand with them."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, or_, select, update

from signalbox.core.times import to_datetime
from signalbox.tasks.models import NOT_COMPLETED, QUEUED, SUBMITTED, SUBMITTING, UNCLEAR, history, provider, task
from signalbox.tasks.schemas import PollOut, Source, Status, Task

_c = task.c
_h = history.c

_COLUMNS: Final = [_c[name] for name in Task._fields]
_ONE: Final = select(*_COLUMNS).where(_c.id == bindparam("wanted"))
_HISTORY: Final = (
    select(_h.id, _h.task, _h.at, _h.status_from, _h.status_to, _h.source, _h.detail)
    .order_by(_h.id.desc())
    .limit(bindparam("limit"))
)
_OF_TASK: Final = _HISTORY.where(_h.task == bindparam("wanted"), _h.id < bindparam("before"))
_FIRST: Final = select(_h.status_from).where(_h.task == bindparam("wanted")).order_by(_h.id).limit(1)

BEYOND: Final = 2**63 - 1
"""Above every id."""


class HistoryRow(NamedTuple):
    """One change as it is kept."""

    id: int
    task: int
    at: int
    status_from: Status
    status_to: Status
    source: Source
    detail: str | None


class TaskFilter(NamedTuple):
    """Which tasks are wanted; None stands for all."""

    status: Status | None = None
    provider: str | None = None
    """Empty for those that are tracked only."""
    since: int | None = None
    """Changed at or after, microseconds UTC."""
    app: str | None = None
    """Who handed it over."""


NEWEST: Final = 100_000
"""Tasks among which a reference is looked for: an index of it would cost every task that comes in."""


def find_task(tx: Connection, number: int, *, lock: bool = False) -> Task | None:
    """One task; with ``lock`` nobody else changes it until ``tx`` ends."""
    query = _ONE.with_for_update() if lock and tx.dialect.name == "postgresql" else _ONE
    row = tx.execute(query, {"wanted": number}).first()
    return None if row is None else Task._make(row)


def find_tasks(tx: Connection, wanted: TaskFilter, *, before: int | None, limit: int) -> list[Task]:
    """Tasks with ids below ``before``, highest id first, at most ``limit``."""
    query = select(*_COLUMNS).order_by(_c.id.desc()).limit(limit)
    if wanted.status is not None:
        query = query.where(_c.status == wanted.status)
        if wanted.status != "Completed":
            query = query.where(NOT_COMPLETED)
    if wanted.provider is not None:
        query = query.where(_c.provider == wanted.provider)
    if wanted.since is not None:
        query = query.where(_c.updated_at >= wanted.since)
    if wanted.app is not None:
        is_open = wanted.status is not None and wanted.status != "Completed"
        # SQLite knows no better which index leaves fewer: of tasks in other states there are few, and they have their own
        column = _c.app.concat("") if is_open and tx.dialect.name == "sqlite" else _c.app
        query = query.where(column == wanted.app)
    if before is not None:
        query = query.where(_c.id < before)
    return [Task._make(row) for row in tx.execute(query)]


def find_number(tx: Connection, reference: str) -> int | None:
    """The newest task with this reference, or which its provider calls so, of the ``NEWEST`` that were handed over."""
    newest = select(func.max(_c.id)).scalar_subquery()
    known = or_(_c.reference == reference, _c.external_id == reference)
    found: int | None = tx.execute(select(func.max(_c.id)).where(_c.id > newest - NEWEST, known)).scalar()
    return found


def change_task(tx: Connection, number: int, values: Mapping[str, Any]) -> None:
    """Set columns of a task."""
    tx.execute(update(task).where(_c.id == number).values(dict(values)))


def delete_task(tx: Connection, number: int) -> None:
    """Delete a task with its history."""
    tx.execute(delete(history).where(_h.task == number))
    tx.execute(delete(task).where(_c.id == number))


def delete_ended(tx: Connection, *, older_than: int, limit: int) -> int:
    """Delete at most ``limit`` tasks that ended before ``older_than``, with their history; how many it were."""
    ended = _c.phase == "done"
    aged = select(_c.id).where(ended, _c.updated_at < older_than).order_by(_c.updated_at).limit(limit)
    ids = tx.execute(aged).scalars().all()
    if ids:
        tx.execute(delete(history).where(_h.task.in_(ids)))
        tx.execute(delete(task).where(_c.id.in_(ids)))
    return len(ids)


def find_history(tx: Connection, number: int, *, before: int | None, limit: int) -> list[HistoryRow]:
    """Changes of a task with ids below ``before``, newest first, at most ``limit``."""
    values = {"wanted": number, "before": BEYOND if before is None else before, "limit": limit}
    return [HistoryRow._make(row) for row in tx.execute(_OF_TASK, values)]


def first_status(tx: Connection, number: int) -> Status | None:
    """The status before the first change; None where nothing has changed."""
    found: Status | None = tx.execute(_FIRST, {"wanted": number}).scalar()
    return found


class Counts(NamedTuple):
    """Tasks of a provider that have not ended, by what is to be done with them."""

    queued: int
    submitting: int
    in_flight: int


_COUNTS: Final = select(
    *(
        select(func.count()).select_from(task).where(phase, _c.provider == bindparam("provider")).scalar_subquery()
        for phase in (QUEUED, SUBMITTING, UNCLEAR, SUBMITTED)
    )
)


def count_open(tx: Connection, name: str) -> Counts:
    """How many tasks of a provider have not ended; the empty name stands for those that are tracked only."""
    queued, submitting, unclear, submitted = tx.execute(_COUNTS, {"provider": name}).one()
    return Counts(queued, submitting + unclear, submitted)


def find_polls(tx: Connection) -> dict[str, PollOut]:
    """How the last poll of each provider went, by its name."""
    rows = tx.execute(select(provider).where(provider.c.polled_at.is_not(None)))
    return {
        row.name: PollOut(
            at=to_datetime(row.polled_at),
            error=row.poll_error,
            found=row.found,
            changed=row.changed,
            unknown=row.unknown,
            bad=row.bad,
        )
        for row in rows
    }
