"""What operators ask for."""

from dataclasses import asdict

from sqlalchemy import Connection

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.auth.models import AuditRow
from signalbox.core.pagination import Page, decode_cursor, to_page
from signalbox.core.times import to_datetime
from signalbox.infra.events import StoredEvent, find_events
from signalbox.ops.schemas import AuditEntry, EventOut


def list_audit(tx: Connection, *, wanted: AuditFilter, limit: int, cursor: str | None = None) -> Page[AuditEntry]:
    """One page of the audit trail, newest first.

    Raises:
        InvalidCursorError: the cursor was not made by this list.
    """
    below = None if cursor is None else decode_cursor(cursor)
    rows = list_entries(tx, wanted=wanted, limit=limit + 1, below=below)
    page = to_page(rows, limit, lambda row: row.id)
    return Page([_to_entry(row) for row in page.items], page.next_cursor)


def list_events(tx: Connection, *, topic: str | None, limit: int, cursor: str | None = None) -> Page[EventOut]:
    """One page of the events, newest first; ``topic`` as ``infra.events.find_events`` takes it.

    Raises:
        InvalidTopicError: it is neither a topic nor the beginning of topics.
        InvalidCursorError: the cursor was not made by this list.
    """
    before = None if cursor is None else decode_cursor(cursor)
    rows = find_events(tx, topic=topic, before=before, limit=limit + 1)
    page = to_page(rows, limit, lambda row: row.id)
    return Page([_to_event(row) for row in page.items], page.next_cursor)


def _to_event(row: StoredEvent) -> EventOut:
    return EventOut.model_validate({**asdict(row), "created_at": to_datetime(row.created_at)})


def _to_entry(row: AuditRow) -> AuditEntry:
    return AuditEntry.model_validate({**asdict(row), "at": to_datetime(row.at)})
