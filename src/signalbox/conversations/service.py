"""Imports as they are listed."""

import json

from sqlalchemy import Connection

from signalbox.conversations import store
from signalbox.conversations.errors import ImportNotFoundError
from signalbox.conversations.models import StoredImport
from signalbox.conversations.schemas import ImportOut
from signalbox.core.pagination import Page, decode_cursor, to_page
from signalbox.core.times import to_datetime


def list_imports(tx: Connection, *, cursor: str | None, limit: int) -> Page[ImportOut]:
    """Imports, newest first, without their reports.

    Raises:
        InvalidCursorError: the cursor was not made by this list.
    """
    before = None if cursor is None else decode_cursor(cursor)
    rows = store.find_imports(tx, before=before, limit=limit + 1)
    return to_page([to_out(row, whole=False) for row in rows], limit, lambda out: out.id)


def show_import(tx: Connection, number: int) -> ImportOut:
    """One import with its report.

    Raises:
        ImportNotFoundError: there is no such import.
    """
    found = store.find_import(tx, number)
    if found is None:
        raise ImportNotFoundError(number)
    return to_out(found)


def to_out(of: StoredImport, *, whole: bool = True) -> ImportOut:
    """An import as it goes over the wire; ``whole`` with its report."""
    return ImportOut(
        id=of.id,
        state=of.state,
        source=of.source,
        actor=of.actor,
        rows_total=of.rows_total,
        rows_done=of.rows_done,
        texts_done=of.texts_done,
        report=None if of.report is None or not whole else json.loads(of.report),
        error=of.error,
        created_at=to_datetime(of.created_at),
        live_at=None if of.live_at is None else to_datetime(of.live_at),
    )
