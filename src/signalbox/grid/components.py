"""What can be done with components."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from signalbox.core.errors import SignalboxError
from signalbox.core.pagination import Page, decode_cursor, to_page
from signalbox.core.times import to_datetime
from signalbox.grid import chunk_store, rule_watch, rules, store, trail
from signalbox.grid.errors import ComponentExistsError, ComponentNotFoundError
from signalbox.grid.kinds import check
from signalbox.grid.schemas import ComponentIn, ComponentOut, ImportedRow
from signalbox.grid.series import LARGEST_ID
from signalbox.grid.store import ComponentFilter, ComponentRow

_COMMON: Final = ("component_type", "name", "substation")


def add(tx: Connection, new: ComponentIn, *, by: str, now: int, request_id: str | None = None) -> ComponentOut:
    """Add a component.

    Raises:
        ComponentExistsError: its substation has one of this name.
    """
    row = store.add_component(tx, {**_to_columns(new), "created_at": now, "updated_at": now})
    if row is None:
        raise _taken(new)
    trail.note(tx, "component.create", None, to_out(row), by=by, now=now, request_id=request_id)
    return to_out(row)


def show(tx: Connection, number: int) -> ComponentOut:
    """One component.

    Raises:
        ComponentNotFoundError: there is none with this id.
    """
    return to_out(_get(tx, number))


def list_components(
    tx: Connection, wanted: ComponentFilter, *, limit: int, cursor: str | None = None
) -> Page[ComponentOut]:
    """One page of the components, highest id first.

    Raises:
        InvalidCursorError: the cursor was not made by this list.
    """
    before = None if cursor is None else decode_cursor(cursor)
    page = to_page(store.find_components(tx, wanted, before=before, limit=limit + 1), limit, lambda row: row.id)
    return Page([to_out(row) for row in page.items], page.next_cursor)


def replace(
    tx: Connection, number: int, new: ComponentIn, *, by: str, now: int, request_id: str | None = None
) -> ComponentOut:
    """Replace all of a component but its id; it may become one of another kind, and its readings with it.

    Raises:
        ComponentNotFoundError: there is none with this id.
        ComponentExistsError: its substation has another one of this name.
    """
    chunk_store.own(tx)  # before the row, as ``delete`` does: else the two wait for each other
    before = _get(tx, number, lock=True)
    try:
        store.change_component(tx, number, {**_to_columns(new), "updated_at": now})
    except IntegrityError:
        raise _taken(new) from None
    after = _get(tx, number)
    if after.component_type != before.component_type:
        why = f"the component has become a {after.component_type}"
        rule_watch.settle_component(tx, number, after.component_type, why=why, now=now)
    trail.note(tx, "component.change", to_out(before), to_out(after), by=by, now=now, request_id=request_id)
    return to_out(after)


def change(
    tx: Connection, number: int, given: Mapping[str, Any], *, by: str, now: int, request_id: str | None = None
) -> ComponentOut:
    """Change some fields of a component; a null clears one. For another kind there is ``replace``.

    Raises:
        UnprocessableError: what comes out is no component.
        ComponentNotFoundError: there is none with this id.
        ComponentExistsError: its substation has another one of this name.
    """
    chunk_store.own(tx)
    before = _get(tx, number, lock=True)
    values = {**json.loads(before.fields), **{name: getattr(before, name) for name in _COMMON}, **given}
    return replace(tx, number, check(values), by=by, now=now, request_id=request_id)


def delete(tx: Connection, number: int, *, by: str, now: int, request_id: str | None = None) -> None:
    """Delete a component with its readings; finished reports stay as they are.

    Raises:
        ComponentNotFoundError: there is none with this id.
    """
    chunk_store.own(tx)  # before looking: nobody adds a reading between
    before = _get(tx, number, lock=True)
    rules.forget_component(tx, number, by=by, now=now, request_id=request_id)
    chunk_store.delete_readings(tx, number)
    store.delete_component(tx, number)
    trail.note(tx, "component.delete", to_out(before), None, by=by, now=now, request_id=request_id)


def import_rows(
    tx: Connection,
    rows: Sequence[Mapping[str, Any]],
    *,
    first: int = 1,
    by: str,
    now: int,
    request_id: str | None = None,
) -> list[ImportedRow]:
    """Add components or bring them up to date; what became of each row, numbered from ``first`` on.

    A row with an ``id`` is of that component, which is added under this id where it is missing; one without is of the
    component with its name and substation. Cells that are empty or null say nothing.
    """
    chunk_store.own(tx)
    results = [
        _import_row(tx, first + place, row, by=by, now=now, request_id=request_id) for place, row in enumerate(rows)
    ]
    store.skip_ids(tx, [each.id for each in results if each.status == "created" and each.id is not None])
    return results


def export(tx: Connection, *, before: int | None = None, limit: int) -> list[dict[str, Any]]:
    """Components as an import takes them, highest id first."""
    found = store.find_components(tx, ComponentFilter(), before=before, limit=limit)
    return [{"id": row.id, **{name: getattr(row, name) for name in _COMMON}, **json.loads(row.fields)} for row in found]


def to_out(row: ComponentRow) -> ComponentOut:
    """A component as it is shown."""
    common = {name: getattr(row, name) for name in ("id", *_COMMON)}
    times = {"created_at": to_datetime(row.created_at), "updated_at": to_datetime(row.updated_at)}
    return ComponentOut.model_validate({**common, **json.loads(row.fields), **times})


def _import_row(
    tx: Connection, place: int, row: Mapping[str, Any], *, by: str, now: int, request_id: str | None
) -> ImportedRow:
    given = {name: value for name, value in row.items() if value not in (None, "")}
    try:
        number = _to_id(given.pop("id", None))
        new = check(given)
        found = store.find_by_name(tx, new.substation, new.name) if number is None else _find(tx, number)
        if found is None:
            made = _add(tx, new, number, now)
            trail.note(tx, "component.create", None, to_out(made), by=by, now=now, request_id=request_id)
            return ImportedRow(row=place, status="created", id=made.id)
        if _to_columns(new) == {name: getattr(found, name) for name in (*_COMMON, "fields")}:
            return ImportedRow(row=place, status="unchanged", id=found.id)
        if (other := store.find_by_name(tx, new.substation, new.name)) is not None and other.id != found.id:
            raise _taken(new)
        replace(tx, found.id, new, by=by, now=now, request_id=request_id)
        return ImportedRow(row=place, status="updated", id=found.id)
    except SignalboxError as error:
        return ImportedRow(row=place, status="rejected", reason=str(error))


def _add(tx: Connection, new: ComponentIn, number: int | None, now: int) -> ComponentRow:
    given = {} if number is None else {"id": number}
    made = store.add_component(tx, {**given, **_to_columns(new), "created_at": now, "updated_at": now})
    if made is None:
        raise _taken(new)
    return made


def _to_id(given: Any) -> int | None:
    if given is None:
        return None
    try:
        number = int(given)
    except (TypeError, ValueError):
        number = 0
    if not 0 < number <= LARGEST_ID:
        msg = f"{given!r} is no id of a component"
        raise ComponentNotFoundError(msg)
    return number


def _find(tx: Connection, number: int) -> ComponentRow | None:
    return store.find_component(tx, number, lock=True)


def _get(tx: Connection, number: int, *, lock: bool = False) -> ComponentRow:
    found = store.find_component(tx, number, lock=lock)
    if found is None:
        msg = f"there is no component {number}"
        raise ComponentNotFoundError(msg)
    return found


def _to_columns(new: ComponentIn) -> dict[str, Any]:
    values = new.model_dump(exclude_none=True)
    common = {name: values.pop(name) for name in _COMMON}
    return {**common, "fields": json.dumps(values, allow_nan=False)}


def _taken(new: ComponentIn) -> ComponentExistsError:
    return ComponentExistsError(f"there is a component {new.name!r} in {new.substation!r}, or one with this id")
