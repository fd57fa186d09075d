"""What clients and people do with tasks besides handing them over: look, change, cancel, try again."""

import secrets
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from sqlalchemy import Connection

from signalbox.auth import audit
from signalbox.auth.principal import Principal
from signalbox.core.pagination import Page, decode_cursor, to_page
from signalbox.core.times import to_datetime
from signalbox.ops.many import ManyOut, change_each
from signalbox.tasks import pump, store
from signalbox.tasks.errors import (
    TaskEndedError,
    TaskNotFailedError,
    TaskNotFoundError,
    TaskSubmittedError,
    UnknownProviderError,
)
from signalbox.tasks.intake import Desk, accept
from signalbox.tasks.journal import Journal
from signalbox.tasks.schemas import (
    LARGEST_ID,
    TERMINAL,
    Change,
    Entry,
    NewTask,
    Phase,
    Source,
    Status,
    Task,
    TaskOut,
    TaskPatch,
    to_out,
    to_text,
)
from signalbox.tasks.store import TaskFilter


def show_task(tx: Connection, number: int) -> TaskOut:
    """One task.

    Raises:
        TaskNotFoundError: there is none with this id.
    """
    return to_out(_get(tx, number))


def list_tasks(tx: Connection, wanted: TaskFilter, *, limit: int, cursor: str | None = None) -> Page[TaskOut]:
    """One page of the tasks, highest id first.

    Raises:
        InvalidCursorError: the cursor was not made by this list.
    """
    before = None if cursor is None else decode_cursor(cursor)
    page = to_page(store.find_tasks(tx, wanted, before=before, limit=limit + 1), limit, lambda row: row.id)
    return Page([to_out(row) for row in page.items], page.next_cursor)


def find_task(tx: Connection, text: str) -> TaskOut | None:
    """The task with this id or reference, or which its provider calls so; None where there is none.

    References and ids of providers are looked for among the newest 100,000 tasks.
    """
    number = int(text) if text.isdecimal() and len(text) <= len(str(LARGEST_ID)) else 0
    found = store.find_task(tx, number) if 0 < number <= LARGEST_ID else None
    if found is None and (other := store.find_number(tx, text)) is not None:
        found = store.find_task(tx, other)
    return None if found is None else to_out(found)


def add_task(
    tx: Connection,
    new: NewTask,
    *,
    desk: Desk,
    by: str,
    journal: Journal,
    now: int,
    request_id: str | None = None,
) -> TaskOut:
    """Hand a task over by hand; the audit trail tells of it. See ``intake.accept`` for the errors."""
    made = accept(tx, new, desk=desk, journal=journal, app=by, now=now)
    audit.record(
        tx,
        actor=by,
        action="task.add",
        target=f"task:{made.id}",
        before=None,
        after={"status": made.status, "provider": made.provider},
        at=now,
        request_id=request_id,
    )
    return to_out(made)


def show_history(tx: Connection, number: int, *, limit: int, cursor: str | None = None) -> Page[Entry]:
    """One page of a task's changes, newest first; the last page ends with how it began.

    Raises:
        TaskNotFoundError: there is none with this id.
        InvalidCursorError: the cursor was not made by this list.
    """
    task = _get(tx, number)
    before = None if cursor is None else decode_cursor(cursor)
    page = to_page(store.find_history(tx, number, before=before, limit=limit + 1), limit, lambda row: row.id)
    entries = [Entry(to_datetime(row.at), row.status_from, row.status_to, row.source, row.detail) for row in page.items]
    if page.next_cursor is None:
        first = store.first_status(tx, number) or task.status
        entries.append(Entry(to_datetime(task.created_at), None, first, "client", "handed over"))
    return Page(entries, page.next_cursor)


def change_task(tx: Connection, number: int, patch: TaskPatch, *, by: Principal, journal: Journal, now: int) -> TaskOut:
    """Set status and validation error; an error sets the status Error. Of one that has ended the status stays.

    Raises:
        TaskNotFoundError: there is none with this id.
        TaskEndedError: it has ended, and the patch says another status than it ended with.
    """
    task = _get(tx, number, lock=True)
    status: Status = "Error" if patch.validation_error is not None else patch.status or task.status
    if task.status in TERMINAL and status != task.status:
        msg = f"Task with ID {number} has ended as {task.status}, which stays; one that has failed can be retried"
        raise TaskEndedError(msg)
    error = task.validation_error if patch.validation_error is None else to_text(patch.validation_error)
    if status != "Error":
        error = None
    if (status, error) == (task.status, task.validation_error):
        return to_out(task)
    phase: Phase = "done" if status in TERMINAL else task.phase
    values = {"status": status, "validation_error": error, "phase": phase, "updated_at": now}
    store.change_task(tx, number, values)
    journal.write(tx, [Change(number, now, task.status, status, source_of(by), error)])
    return show_task(tx, number)


def cancel_task(
    tx: Connection, number: int, *, by: str, journal: Journal, now: int, request_id: str | None = None
) -> None:
    """Take a task back that has not been submitted; it is gone.

    Raises:
        TaskNotFoundError: there is none with this id.
        TaskSubmittedError: the provider has it, or may have it.
    """
    task = _get(tx, number, lock=True)
    if task.provider and task.phase != "queued":
        msg = f"Task with ID {number} was handed to {task.provider}; only what has not been submitted can be cancelled"
        raise TaskSubmittedError(msg)
    store.delete_task(tx, number)
    journal.tell(tx, [number])
    _audit(tx, "task.cancel", task, None, actor=by, now=now, request_id=request_id)


def retry_task(
    tx: Connection,
    number: int,
    *,
    desk: Desk,
    by: str,
    source: Source,
    journal: Journal,
    now: int,
    request_id: str | None = None,
) -> TaskOut:
    """Submit a failed task again from the start, with a new reference, or one that waits for its next attempt now.

    Raises:
        TaskNotFoundError: there is none with this id.
        TaskNotFailedError: it has not failed.
        UnknownProviderError: the settings do not have its provider any more.
    """
    task = _get(tx, number, lock=True)
    if task.status != "Error" and task.phase != "queued":
        msg = f"Task with ID {number} is {task.status}; only what has failed or waits can be tried again"
        raise TaskNotFailedError(msg)
    if task.provider and task.provider not in desk.intervals:
        raise UnknownProviderError(task.provider, list(desk.intervals))
    store.change_task(tx, number, {**_begin(task), "next_at": now, "updated_at": now})
    journal.write(tx, [Change(number, now, task.status, "Not Started", source, "tried again")])
    if task.provider:
        pump.wake(tx, pump.SUBMIT, task.provider, now=now)
    elif desk.default is not None:
        pump.wake(tx, pump.POLL, desk.default, now=now, due_at=now + desk.poll_after(desk.default))
    after = show_task(tx, number)
    _audit(tx, "task.retry", task, after.status, actor=by, now=now, request_id=request_id)
    return after


def change_tasks(
    tx: Connection,
    ids: Sequence[int],
    *,
    action: Literal["retry", "cancel"],
    desk: Desk,
    by: Principal,
    journal: Journal,
    now: int,
    request_id: str | None = None,
) -> list[ManyOut]:
    """``retry_task`` or ``cancel_task`` for each of these; one that cannot be changed keeps no other from it."""
    hand: dict[str, Any] = {"by": by.actor, "journal": journal, "now": now, "request_id": request_id}
    change = partial(retry_task, desk=desk, source=source_of(by)) if action == "retry" else cancel_task
    return change_each(tx, ids, partial(change, **hand))


def source_of(by: Principal) -> Source:
    """How the history names a caller: people are operators."""
    return "operator" if by.kind == "user" else "client"


def _begin(task: Task) -> dict[str, Any]:
    fresh = {"status": "Not Started", "validation_error": None, "raw_status": None, "flag": None, "missed_polls": 0}
    if not task.provider:
        return {**fresh, "phase": "submitted", "poll_key": str(task.id)}
    sent = {"external_id": None, "poll_key": None, "sent_at": None, "attempts": 0}
    return {**fresh, **sent, "phase": "queued", "reference": secrets.token_hex(16)}


def check_number(number: int) -> int:
    """A number that may be a task's.

    Raises:
        TaskNotFoundError: no task can have it, so none has.
    """
    if not 0 < number <= LARGEST_ID:
        raise TaskNotFoundError(number)
    return number


def _get(tx: Connection, number: int, *, lock: bool = False) -> Task:
    found = store.find_task(tx, check_number(number), lock=lock)
    if found is None:
        raise TaskNotFoundError(number)
    return found


def _audit(
    tx: Connection, action: str, before: Task, status: str | None, *, actor: str, now: int, request_id: str | None
) -> None:
    audit.record(
        tx,
        actor=actor,
        action=action,
        target=f"task:{before.id}",
        before={"status": before.status, "provider": before.provider, "attempts": before.attempts},
        after=None if status is None else {"status": status},
        at=now,
        request_id=request_id,
    )
