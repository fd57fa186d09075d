"""How tasks come in: each a row that is durable before it is answered, with the pump's job in the same transaction."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Insert, bindparam, func, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.auth.principal import Principal
from signalbox.core.errors import Fault, SignalboxError, UnprocessableError
from signalbox.core.times import MICROSECONDS
from signalbox.infra.db import Dialect
from signalbox.infra.db.prepared import Prepared
from signalbox.infra.db.rows import DIALECTS, bound_rows, encode_rows
from signalbox.tasks import pump
from signalbox.tasks.errors import DuplicateTaskError, UnknownProviderError
from signalbox.tasks.journal import Journal
from signalbox.tasks.models import task
from signalbox.tasks.providers import ProviderSettings
from signalbox.tasks.schemas import TERMINAL, NewTask, RowResult, Task, to_text
from signalbox.tasks.settings import TasksSettings

_c = task.c

REPAIRS: Final = 20
"""How often numbering is moved behind ids that clients gave, before somebody is told."""

_GIVEN: Final = (
    "app",
    "provider",
    "status",
    "phase",
    "validation_error",
    "poll_key",
    "reference",
    "payload",
)
_FIRST: Final[dict[str, Any]] = {
    "attempts": literal_column("0"),
    "missed_polls": literal_column("0"),
    "next_at": bindparam("now", type_=_c.next_at.type),
    "created_at": bindparam("now", type_=_c.created_at.type),
    "updated_at": bindparam("now", type_=_c.updated_at.type),
}


class Desk(NamedTuple):
    """Who tasks may be handed over to; made from the settings."""

    intervals: Mapping[str, float]
    """Seconds between two polls, by provider."""
    default: str | None
    """Whose polls update tasks that are tracked only."""

    def poll_after(self, provider: str) -> int:
        """Microseconds until a new task of a provider is to be polled."""
        return round(self.intervals[provider] * MICROSECONDS)


def desk_of(settings: TasksSettings) -> Desk:
    """Who tasks may be handed over to, by the settings."""
    intervals = {each.name: each.poll_interval for each in settings.providers if isinstance(each, ProviderSettings)}
    return Desk(intervals, settings.default_provider)


def read_task(provider: str | None, payload: str) -> NewTask:
    """A task as people write it: the payload is the text of a JSON object.

    Raises:
        UnprocessableError: it is none, or is nested too deeply.
    """
    try:
        return NewTask(provider=provider, payload=msgspec.json.decode(payload, type=dict[str, Any]))
    except (ValueError, RecursionError) as error:
        raise UnprocessableError([Fault("payload", f"is no JSON object that can be taken: {error}")]) from None


def accept(tx: Connection, new: NewTask, *, desk: Desk, journal: Journal, app: str, now: int) -> Task:
    """Take one task.

    Raises:
        DuplicateTaskError: a task with its id is there already.
        UnknownProviderError: there is no such provider.
        UnprocessableError: a task that is to be submitted cannot have begun.
    """
    row = _to_row(new, desk, app)
    number = _insert_one(tx, new.id, row, now)
    if row["phase"] == "submitted" and row["poll_key"] is None:
        tx.execute(_NAME, {"wanted": number, "key": str(number)})
    _wake(tx, {(row["phase"], row["provider"])}, desk, now)
    journal.tell(tx, [number])
    return Task(
        number,
        app,
        row["provider"],
        row["status"],
        row["phase"],
        row["validation_error"],
        None,
        None,
        None,
        row["reference"],
        row["payload"],
        0,
        now,
        now,
        now,
    )


def accept_many(
    tx: Connection, new: Sequence[NewTask | SignalboxError], *, desk: Desk, journal: Journal, app: str, now: int
) -> list[RowResult]:
    """Take many tasks in few statements; what became of each, in their order. One that is refused spoils no other."""
    results: list[RowResult | None] = [None] * len(new)
    rows: dict[int, tuple[int | None, dict[str, Any]]] = {}
    for position, each in enumerate(new):
        try:
            if isinstance(each, SignalboxError):
                raise each
            rows[position] = each.id, _to_row(each, desk, app)
        except SignalboxError as error:
            results[position] = RowResult(422, code=error.code, detail=str(error))
    made = _insert_many(tx, rows, now)
    for position, (number, row) in rows.items():
        found = made.get(row["reference"])
        results[position] = RowResult(201, id=found) if found is not None else _duplicate(number)
    _wake(tx, {(row["phase"], row["provider"]) for _, row in rows.values() if row["reference"] in made}, desk, now)
    if made:
        journal.tell(tx, sorted(made.values()))
    return [each for each in results if each is not None]


def owner(principal: Principal) -> str:
    """Whose a caller's tasks are: providers serve owners by turns."""
    return principal.app or principal.actor


def _duplicate(number: int | None) -> RowResult:
    error = DuplicateTaskError(number or 0)
    return RowResult(409, id=number, code=error.code, detail=str(error))


def _to_row(new: NewTask, desk: Desk, app: str) -> dict[str, Any]:
    status = "Error" if new.validation_error is not None else new.status
    if new.provider is None:
        phase = "done" if status in TERMINAL else "submitted"
    else:
        _check(new, status, desk)
        phase = "queued"
    return {
        "app": app,
        "provider": new.provider or "",
        "status": status,
        "phase": phase,
        "validation_error": None if new.validation_error is None else to_text(new.validation_error),
        "poll_key": None if new.provider is not None or new.id is None else str(new.id),
        "reference": secrets.token_hex(16),
        "payload": msgspec.json.encode(new.payload or {}).decode(),
    }


def _check(new: NewTask, status: str, desk: Desk) -> None:
    if new.provider not in desk.intervals:
        raise UnknownProviderError(new.provider or "", list(desk.intervals))
    if status != "Not Started":
        msg = "a task that is to be submitted begins as Not Started; without a provider it is tracked only"
        raise UnprocessableError([Fault("status", msg, status)])


def _wake(tx: Connection, added: set[tuple[str, str]], desk: Desk, now: int) -> None:
    """Start the pumps of what was added, by phase and provider."""
    for phase, provider in sorted(added):
        if phase == "queued":
            pump.wake(tx, pump.SUBMIT, provider, now=now)
        elif phase == "submitted" and desk.default is not None:
            pump.wake(tx, pump.POLL, desk.default, now=now, due_at=now + desk.poll_after(desk.default))


# -- insert -----------------------------------------------------------------------------------------------------------


def _one(dialect: Dialect, *, numbered: bool) -> Insert:
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    values = {name: bindparam(name, type_=_c[name].type) for name in (*_GIVEN, *(["id"] if numbered else []))}
    return make(task).values({**values, **_FIRST}).on_conflict_do_nothing(index_elements=["id"]).returning(_c.id)


def _many(dialect: Dialect, *, numbered: bool) -> Insert:
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    given = (*_GIVEN, *(["id"] if numbered else []))
    rows = bound_rows(dialect, "rows", {name: _c[name].type for name in given}, "new")
    # without WHERE, SQLite would take the ON of ON CONFLICT for that of a join
    source = select(*rows.c, *_FIRST.values()).where(literal_column("1") == literal_column("1"))
    made = make(task).from_select([*given, *_FIRST], source).on_conflict_do_nothing(index_elements=["id"])
    return made.returning(_c.id, _c.reference)


_ONE: Final = {
    numbered: Prepared({dialect: _one(dialect, numbered=numbered) for dialect in DIALECTS})
    for numbered in (True, False)
}
_MANY: Final = {
    (dialect, numbered): _many(dialect, numbered=numbered) for dialect in DIALECTS for numbered in (True, False)
}
_NAME: Final = update(task).where(_c.id == bindparam("wanted")).values(poll_key=bindparam("key"))
_NAME_ALL: Final = (
    update(task)
    .where(_c.phase == literal_column("'submitted'"), _c.poll_key.is_(None), _c.provider == literal_column("''"))
    .values(poll_key=func.cast(_c.id, _c.poll_key.type))
)
_REPAIR: Final = select(
    func.setval(func.pg_get_serial_sequence("task", "id"), select(func.max(_c.id)).scalar_subquery())
)


def _insert_one(tx: Connection, number: int | None, row: dict[str, Any], now: int) -> int:
    values = {**row, "now": now}
    if number is not None:
        if not _ONE[True].run(tx, {**values, "id": number}):
            raise DuplicateTaskError(number)
        return number
    for _ in range(REPAIRS):
        found = _ONE[False].run(tx, values)
        if found:
            return int(found[0][0])
        tx.execute(_REPAIR)  # a client gave the number whose turn it was; SQLite's numbering takes note by itself
    msg = "clients give ids faster than numbering gets behind them"
    raise RuntimeError(msg)


def _insert_many(tx: Connection, rows: Mapping[int, tuple[int | None, dict[str, Any]]], now: int) -> dict[str, int]:
    """Ids of those that were inserted, by reference."""
    # in the order of their ids, so that two batches with the same ones wait for each other in one direction only
    numbered = [(*_cells(row), number) for number, row in rows.values() if number is not None]
    numbered.sort(key=lambda cells: cells[-1])
    made = _insert_rows(tx, numbered, numbered=True, now=now)
    others = {row["reference"]: _cells(row) for number, row in rows.values() if number is None}
    for _ in range(REPAIRS):
        if not others:
            break
        found = _insert_rows(tx, list(others.values()), numbered=False, now=now)
        made.update(found)
        others = {reference: cells for reference, cells in others.items() if reference not in found}
        if others:
            tx.execute(_REPAIR)
    if any(row["phase"] == "submitted" and row["poll_key"] is None for _, row in rows.values()):
        tx.execute(_NAME_ALL)
    return made


def _insert_rows(tx: Connection, rows: Sequence[Sequence[Any]], *, numbered: bool, now: int) -> dict[str, int]:
    if not rows:
        return {}
    found = tx.execute(_MANY[_dialect(tx), numbered], {"rows": encode_rows(rows), "now": now})
    return {reference: number for number, reference in found}


def _cells(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _GIVEN)


def _dialect(tx: Connection) -> Dialect:
    return "sqlite" if tx.dialect.name == "sqlite" else "postgresql"
