"""The transactions of the poll pump: whom to ask about, and what answers change.

Only what differs is written. Answers are compared with the tasks under way a page at a time, in the order of their
ids, so that no transaction is long, memory holds one page, and what a transaction writes lies close together.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Update, bindparam, case, func, literal_column, null, select, update
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.infra.db import Dialect
from signalbox.infra.db.rows import DIALECTS, bound_rows, encode_ids, encode_rows, is_bound_id
from signalbox.infra.jobs import Job
from signalbox.infra.limits.budgets import Budgets, Grant
from signalbox.tasks import pump
from signalbox.tasks.compare import Difference, Findings, Moves, Watched, sort_out
from signalbox.tasks.journal import Alike, Journal
from signalbox.tasks.models import STILL_SUBMITTED, SUBMITTED, task
from signalbox.tasks.models import provider as table
from signalbox.tasks.providers import Provider, Sighting
from signalbox.tasks.schemas import TERMINAL, Change, to_text
from signalbox.tasks.submit import publish_failures
from signalbox.tasks.verdicts import FAILED

_c = task.c

PAGE: Final = 4_000
"""Tasks that are written in one transaction."""
AT_ONCE: Final = 2
"""Pages that are compared and written at once: PostgreSQL has a process for each."""


class News(NamedTuple):
    """What an answer changes of the next tasks."""

    pages: list[Findings]
    """At most ``AT_ONCE``."""
    last: int | None
    """The highest id of these tasks; None where there are none left."""


class Tally(NamedTuple):
    """How a poll went."""

    found: int = 0
    changed: int = 0
    unknown: int = 0
    bad: int = 0


# -- read -------------------------------------------------------------------------------------------------------------

_WATCHED: Final = (
    _c.id,
    _c.app,
    _c.poll_key,
    _c.status,
    _c.raw_status,
    _c.flag,
    _c.missed_polls,
    func.coalesce(_c.sent_at, _c.created_at),
)
_MINE: Final = (SUBMITTED, _c.provider == bindparam("provider"))
_PAGE: Final = select(*_WATCHED).where(*_MINE, _c.id > bindparam("after")).order_by(_c.id).limit(PAGE * AT_ONCE)
_DUE: Final = (
    select(*_WATCHED).where(*_MINE, _c.next_at <= bindparam("now")).order_by(_c.next_at).limit(bindparam("limit"))
)
_FIRST: Final = select(func.min(_c.next_at)).where(*_MINE)


def find_news(
    tx: Connection, provider: str, seen: Mapping[str, Sighting], *, after: int, missing_after: int, began: int
) -> News:
    """What an answer changes of the next tasks under way, in the order of their ids, behind ``after``."""
    rows = tx.execute(_PAGE, {"provider": provider, "after": after}).all()
    parts = (rows[start : start + PAGE] for start in range(0, len(rows), PAGE))
    pages = [sort_out(part, seen, missing_after=missing_after, began=began) for part in parts]
    return News(pages, rows[-1][0] if rows else None)


def find_due(tx: Connection, providers: Sequence[str], *, now: int, limit: int) -> list[Watched]:
    """The tasks under way that were not asked for the longest, of those whose turn has come; at most ``limit``."""
    found: list[Watched] = []
    for name in providers:
        values = {"provider": name, "now": now, "limit": limit - len(found)}
        found += [Watched._make(row) for row in tx.execute(_DUE, values)]
    return found


def first_due(tx: Connection, providers: Sequence[str]) -> int | None:
    """When the first task under way is to be asked for; None where none is under way."""
    found = [tx.execute(_FIRST, {"provider": name}).scalar() for name in providers]
    return min((each for each in found if each is not None), default=None)


def begin(tx: Connection, provider: Provider, *, job: Job, budgets: Budgets, count: int, hold: int, now: int) -> Grant:
    """Permits for so many polls; ``hold`` as in ``Budgets.take``.

    Raises:
        LeaseLostError: another process has the job by now.
    """
    pump.lease_of(tx, job, now=now)
    return budgets.take(
        tx,
        provider.host,
        purpose="poll",
        count=count,
        extra=provider.limits,
        extra_share=provider.poll_share,
        hold=hold,
        now=now,
    )


# -- write ------------------------------------------------------------------------------------------------------------


def _apply(dialect: Dialect) -> Update:
    columns = {
        "id": _c.id.type,
        "old": _c.status.type,
        "status": _c.status.type,
        "phase": _c.phase.type,
        "error": _c.validation_error.type,
        "raw_status": _c.raw_status.type,
        "flag": _c.flag.type,
        "missed": _c.missed_polls.type,
        "visible": _c.missed_polls.type,
    }
    said = bound_rows(dialect, "rows", columns, "said")
    now = bindparam("now", type_=_c.updated_at.type)
    return (
        update(task)
        .where(_c.id == said.c.id, _c.status.is_not_distinct_from(said.c.old), STILL_SUBMITTED)
        .values(
            status=said.c.status,
            phase=said.c.phase,
            validation_error=said.c.error,
            raw_status=said.c.raw_status,
            flag=said.c.flag,
            missed_polls=said.c.missed,
            updated_at=case((said.c.visible == literal_column("1"), now), else_=_c.updated_at),
        )
        .returning(_c.id)
    )


_APPLY: Final[dict[str, Update]] = {dialect: _apply(dialect) for dialect in DIALECTS}


def _move(dialect: Dialect, *, ends: bool) -> Update:
    """For plain moves, which are nearly all: a fraction of the work of the general statement.

    One that ends no task leaves ``phase`` alone: SQLite would write anew what each index with a condition on it holds.
    """
    phase: dict[str, Any] = {"phase": literal_column("'done'")} if ends else {}
    return (
        update(task)
        .where(is_bound_id(dialect, _c.id, "ids"), _c.status.is_not_distinct_from(bindparam("old")), STILL_SUBMITTED)
        .values(
            status=bindparam("new"),
            validation_error=null(),
            raw_status=null(),
            flag=null(),
            missed_polls=literal_column("0"),
            updated_at=bindparam("now"),
            **phase,
        )
        .returning(_c.id)
    )


_MOVE: Final = {ends: Alike({dialect: _move(dialect, ends=ends) for dialect in DIALECTS}) for ends in (True, False)}


def apply(tx: Connection, provider: Provider, found: Findings, *, job: Job, journal: Journal, now: int) -> int:
    """Write what an answer changes; how many tasks changed so that clients can see it.

    Raises:
        LeaseLostError: another process has the job by now.
    """
    pump.lease_of(tx, job, now=now)
    return _apply_moves(tx, found.moves, journal, now) + _apply_others(tx, provider, found.differences, journal, now)


def _apply_moves(tx: Connection, moves: Moves, journal: Journal, now: int) -> int:
    changed = 0
    for (old, new), ids in moves.items():
        values = {"ids": encode_ids(ids), "old": old, "new": new, "now": now}
        move = _MOVE[new in TERMINAL]
        changed += journal.change_alike(tx, move, values, status_from=old, status_to=new, source="poll", at=now)
    return changed


def _apply_others(tx: Connection, provider: Provider, found: Sequence[Difference], journal: Journal, now: int) -> int:
    if not found:
        return 0
    rows = [
        (d.of.id, d.of.status, d.status, d.phase, d.error, d.raw_status, d.flag, d.missed, int(d.is_visible))
        for d in found
    ]
    kept = set(tx.execute(_APPLY[tx.dialect.name], {"rows": encode_rows(rows), "now": now}).scalars().all())
    visible = [each for each in found if each.of.id in kept and each.is_visible]
    changes = [Change(each.of.id, now, each.of.status, each.status, "poll", _detail(each)) for each in visible]
    journal.write(tx, changes)
    failed = [(each.of.id, each.of.app, each.error) for each in visible if each.status == "Error"]
    if failed:
        publish_failures(tx, FAILED, provider.name, failed, now=now)
    return len(visible)


def _detail(of: Difference) -> str | None:
    if of.error is not None:
        return of.error
    if of.flag == "missing":
        return f"{of.missed} polls in a row have missed it"
    if of.raw_status is not None:
        return f"the provider says {of.raw_status!r}"
    return None


_NEXT: Final[dict[str, Update]] = {
    dialect: update(task)
    .where(_c.id.in_(select(bound_rows(dialect, "rows", {"id": _c.id.type}, "asked").c.id)), STILL_SUBMITTED)
    .values(next_at=bindparam("next"))
    for dialect in DIALECTS
}


def put_off(tx: Connection, asked: Sequence[int], *, until: int) -> None:
    """Ask for these tasks no sooner than ``until``."""
    tx.execute(_NEXT[tx.dialect.name], {"rows": encode_rows([[each] for each in asked]), "next": until})


_TOLD: Final = ("poll_error", "found", "changed", "unknown", "bad", "failures", "unchanged")
_NOTE: Final = {
    dialect: insert(table)
    .values(
        name=bindparam("provider"), last_app="", polled_at=bindparam("now"), **{name: bindparam(name) for name in _TOLD}
    )
    .on_conflict_do_update(
        index_elements=["name"], set_={name: bindparam(name) for name in _TOLD} | {"polled_at": bindparam("now")}
    )
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_STREAKS: Final = select(table.c.failures, table.c.unchanged).where(table.c.name == bindparam("provider"))


class Streaks(NamedTuple):
    """How many polls in a row went so, up to the last."""

    failures: int
    unchanged: int


def note(tx: Connection, provider: str, tally: Tally, *, error: str | None, now: int) -> Streaks:
    """Remember how a poll went."""
    row = tx.execute(_STREAKS, {"provider": provider}).first() or (0, 0)
    failures = 0 if error is None else row[0] + 1
    unchanged = 0 if tally.changed else row[1] + (error is None)
    values: Mapping[str, Any] = {
        **tally._asdict(),
        "poll_error": None if error is None else to_text(error, 500),
        "failures": failures,
        "unchanged": unchanged,
    }
    tx.execute(_NOTE[tx.dialect.name], {"provider": provider, "now": now, **values})
    return Streaks(failures, unchanged)


def rest(tx: Connection, providers: Sequence[str], *, job: Job, following: int, now: int) -> None:
    """End the run; polling goes on at ``following`` if a task is under way then.

    Raises:
        LeaseLostError: another process has the job by now.
    """
    pump.close(tx, pump.POLL, job.payload["provider"])
    due = first_due(tx, providers)
    pump.end(tx, job, following=None if due is None else following, now=now)
