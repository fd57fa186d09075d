"""What is known of third-party hosts besides permits: pauses, and how often they are polled."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.infra.limits.tables import budget_host as table

MILLISECOND = 1_000
USUAL_GAP = 10_000
"""Milliseconds between polls that are expected when the first one comes."""

_LONGEST_GAP = 86_400_000
_OVERDUE = 2
"""Gaps without a poll after which it may be that none comes any more."""
_WEIGHT = 4
"""The newest gap counts one part in so many."""


class HostState(NamedTuple):
    """A row, or what stands for one that is not there."""

    paused_until: int | None = None
    polls_asked_at: int | None = None
    poll_gap: int = USUAL_GAP
    """Milliseconds from one poll to the next, of late and on average."""

    def polls_within(self, span: int, now: int) -> int:
        """How many polls are likely to fall into one window of ``span`` microseconds, those that have come included.

        None where none ever came, or the next one is due later. Fewer the longer one is overdue.
        """
        if self.polls_asked_at is None:
            return 0
        gap, passed = self.poll_gap * MILLISECOND, now - self.polls_asked_at
        if passed > _OVERDUE * gap:
            return span // passed
        return -(-span // gap) if gap <= passed + span else 0


def _pauses(insert: Any) -> Any:
    statement = insert(table).values(poll_gap=USUAL_GAP)
    until = statement.excluded.paused_until
    return statement.on_conflict_do_update(
        index_elements=["host"],
        set_={"paused_until": until},
        where=or_(table.c.paused_until.is_(None), table.c.paused_until < until),
    )


def _notes(insert: Any) -> Any:
    statement = insert(table)
    changed = {name: statement.excluded[name] for name in ("polls_asked_at", "poll_gap")}
    return statement.on_conflict_do_update(index_elements=["host"], set_=changed)


_FIND = select(table.c.paused_until, table.c.polls_asked_at, table.c.poll_gap).where(
    table.c.host == bindparam("wanted")
)
_PAUSE = {"sqlite": _pauses(sqlite.insert), "postgresql": _pauses(postgresql.insert)}
_NOTE = {"sqlite": _notes(sqlite.insert), "postgresql": _notes(postgresql.insert)}


def find_host(tx: Connection, host: str) -> HostState:
    """What is known of a host."""
    row = tx.execute(_FIND, {"wanted": host}).first()
    return HostState() if row is None else HostState(*row)


def pause_host(tx: Connection, host: str, *, until: int) -> None:
    """Note a pause, unless a longer one is known."""
    tx.execute(_PAUSE[tx.dialect.name], {"host": host, "paused_until": until})


def note_polls(tx: Connection, host: str, state: HostState, *, count: int, now: int) -> HostState:
    """Note that ``count`` polls were asked for, and return what is known then."""
    gap = state.poll_gap
    if state.polls_asked_at is not None:
        newest = min(max(0, now - state.polls_asked_at) // MILLISECOND // count, _LONGEST_GAP)
        gap += (newest - gap) // _WEIGHT
    gap = max(1, gap)
    tx.execute(_NOTE[tx.dialect.name], {"host": host, "polls_asked_at": now, "poll_gap": gap})
    return state._replace(polls_asked_at=now, poll_gap=gap)
