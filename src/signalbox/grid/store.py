"""Queries about components."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.grid import block_store
from signalbox.grid.models import component

_c = component.c


class ComponentRow(NamedTuple):
    """A component as it is kept."""

    id: int
    component_type: str
    name: str
    substation: str
    fields: str
    """What its kind has besides, as JSON."""
    created_at: int
    updated_at: int


class ComponentFilter(NamedTuple):
    """Which components are wanted; None stands for all."""

    component_type: str | None = None
    substation: str | None = None
    name: str | None = None
    """Part of it, in any case. A letter that another case spells with two, as ß, is found as it is written."""


_COLUMNS: Final = [_c[name] for name in ComponentRow._fields]
_ONE: Final = select(*_COLUMNS).where(_c.id == bindparam("wanted"))
_BY_NAME: Final = select(*_COLUMNS).where(_c.substation == bindparam("substation"), _c.name == bindparam("name"))
_ADDS: Final = {
    dialect: insert(component).on_conflict_do_nothing().returning(*_COLUMNS)
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


def add_component(tx: Connection, values: Mapping[str, Any]) -> ComponentRow | None:
    """Add a component; None where its id or its name in its substation is taken."""
    row = tx.execute(_ADDS[tx.dialect.name], dict(values)).first()
    return None if row is None else ComponentRow._make(row)


def find_component(tx: Connection, number: int, *, lock: bool = False) -> ComponentRow | None:
    """One component; with ``lock`` nobody else changes it until ``tx`` ends."""
    query = _ONE.with_for_update() if lock and tx.dialect.name == "postgresql" else _ONE
    row = tx.execute(query, {"wanted": number}).first()
    return None if row is None else ComponentRow._make(row)


def find_by_name(tx: Connection, substation: str, name: str) -> ComponentRow | None:
    """The component of this name in a substation."""
    row = tx.execute(_BY_NAME, {"substation": substation, "name": name}).first()
    return None if row is None else ComponentRow._make(row)


def find_components(
    tx: Connection, wanted: ComponentFilter, *, before: int | None = None, limit: int
) -> list[ComponentRow]:
    """Components with ids below ``before``, highest id first, at most ``limit``."""
    query = select(*_COLUMNS).order_by(_c.id.desc()).limit(limit)
    if wanted.component_type is not None:
        query = query.where(_c.component_type == wanted.component_type)
    if wanted.substation is not None:
        query = query.where(_c.substation == wanted.substation)
    if wanted.name is not None:
        operator, pattern = _to_pattern(tx.dialect.name, wanted.name)
        query = query.where(_c.name.op(operator)(pattern))
    if before is not None:
        query = query.where(_c.id < before)
    return [ComponentRow._make(row) for row in tx.execute(query)]


def _to_pattern(dialect: str, words: str) -> tuple[str, str]:
    """The operator and the pattern by which a name has ``words`` in any case.

    Each letter is asked for in all its cases: ``lower`` knows ASCII alone in SQLite, and in PostgreSQL what the locale of
    the database knows.
    """
    letters = [_cases(letter) for letter in words]
    if dialect == "postgresql":
        return "~", "".join(f"[{each}]" if len(each) > 1 else re.escape(each) for each in letters)
    return "GLOB", "*" + "".join(f"[{each}]" if len(each) > 1 or each in "*?[" else each for each in letters) + "*"


def _cases(letter: str) -> str:
    spellings = {letter, letter.lower(), letter.upper(), letter.upper().lower()}
    return "".join(sorted(each for each in spellings if len(each) == 1))


def change_component(tx: Connection, number: int, values: Mapping[str, Any]) -> None:
    """Set columns of a component; for another ``component_type`` the caller is the only one who changes readings.

    Raises:
        sqlalchemy.exc.IntegrityError: its substation has another of the name.
    """
    kind = tx.execute(select(_c.component_type).where(_c.id == number)).scalar()
    if values.get("component_type", kind) != kind:
        block_store.make_component_stale(tx, number)
    tx.execute(update(component).where(_c.id == number).values(dict(values)))


def delete_component(tx: Connection, number: int) -> None:
    """Delete a component, without its readings."""
    tx.execute(delete(component).where(_c.id == number))


def read_kinds(tx: Connection) -> list[tuple[int, str, str]]:
    """Id, type and further fields of all components, by id."""
    rows = tx.execute(select(_c.id, _c.component_type, _c.fields).order_by(_c.id))
    return [(row.id, row.component_type, row.fields) for row in rows]


def skip_ids(tx: Connection, given: Iterable[int]) -> None:
    """Have PostgreSQL number new components behind those whose ids were given; SQLite does so by itself."""
    highest = max(given, default=0)
    if highest and tx.dialect.name == "postgresql":
        sequence = "pg_get_serial_sequence('grid_component', 'id')"
        ahead = f"SELECT setval({sequence}, greatest(:highest, (SELECT max(id) FROM grid_component)))"  # noqa: S608 - our words
        tx.execute(text(ahead), {"highest": highest})
