"""How much waits, and how much is dead: counted as far as a status page needs, so that a look stays cheap."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, literal_column, select

from signalbox.infra.db import Dialect
from signalbox.infra.db.rows import DIALECTS, bound_rows, encode_rows
from signalbox.infra.jobs.queue import next_due
from signalbox.infra.jobs.tables import RUNNING, WAITING, job

_c = job.c


class Backlog(NamedTuple):
    """What there is of one kind."""

    waiting: int
    """Jobs that wait, due or not."""
    dead: int
    first_due: int | None
    """When the first waiting job is due, maybe long ago; microseconds UTC."""
    running: int = 0
    """Jobs under way in all processes; only ``read_summary`` counts them."""


def _waiting(dialect: Dialect) -> Select[Any]:
    kinds = bound_rows(dialect, "rows", {"kind": _c.kind.type}, "kinds")
    some = select(_c.id).where(WAITING, _c.kind == kinds.c.kind).limit(bindparam("most")).correlate(kinds).subquery()
    return select(kinds.c.kind, select(func.count()).select_from(some).scalar_subquery())


_WAITING: dict[str, Select[Any]] = {dialect: _waiting(dialect) for dialect in DIALECTS}
_SOME_DEAD = (
    select(_c.kind)
    .where(_c.state == literal_column("'dead'"), _c.ended_at.is_not(None))  # the second lets the planner use the index
    .limit(bindparam("most"))
    .subquery()
)
_DEAD: Select[Any] = select(_SOME_DEAD.c.kind, func.count()).group_by(_SOME_DEAD.c.kind)
_RUNNING: Select[Any] = select(_c.kind, func.count()).where(RUNNING).group_by(_c.kind)


def _waiting_kinds() -> Select[Any]:
    """All kinds with waiting jobs: from one to the next by the index, not through all their jobs."""
    first = select(func.min(_c.kind).label("kind")).where(WAITING).cte("kinds", recursive=True)
    following = select(func.min(_c.kind)).where(WAITING, _c.kind > first.c.kind).scalar_subquery()
    kinds = first.union_all(select(following).where(first.c.kind.is_not(None)))
    return select(kinds.c.kind).where(kinds.c.kind.is_not(None))


_WAITING_KINDS: Select[Any] = _waiting_kinds()


def read_backlog(tx: Connection, kinds: Sequence[str], *, most: int) -> dict[str, Backlog]:
    """What there is of these kinds, and of others that have dead jobs; at most ``most`` are counted of anything."""
    waiting = {row[0]: row[1] for row in tx.execute(_WAITING[tx.dialect.name], _bound(kinds, most))}
    dead = {row[0]: row[1] for row in tx.execute(_DEAD, {"most": most})}
    due = next_due(tx, kinds)
    return {
        kind: Backlog(waiting.get(kind, 0), dead.get(kind, 0), due.get(kind))
        for kind in sorted(waiting.keys() | dead.keys())
    }


def read_summary(tx: Connection, *, most: int) -> dict[str, Backlog]:
    """What there is of every kind that has waiting, running or dead jobs, by kind; ``most`` as above, not of running."""
    running = {row[0]: row[1] for row in tx.execute(_RUNNING)}
    kinds = running.keys() | set(tx.execute(_WAITING_KINDS).scalars())
    found = read_backlog(tx, sorted(kinds), most=most)
    return {kind: each._replace(running=running.get(kind, 0)) for kind, each in found.items()}


def _bound(kinds: Sequence[str], most: int) -> dict[str, Any]:
    return {"rows": encode_rows([[kind] for kind in kinds]), "most": most}
