"""Whose turn it is: a provider's waiting tasks by turns of the apps that own them, each app's oldest first.

An app with ten thousand tasks delays another's single one by no more than one round: one task of each app that waits.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.tasks.models import QUEUED, provider, task

_c = task.c


class Turn(NamedTuple):
    """A task whose turn it is."""

    app: str
    id: int


def _apps() -> Select[Any]:
    """All apps with waiting tasks: from one to the next by the index, not through all their tasks."""
    mine = _c.provider == bindparam("provider")
    first = select(func.min(_c.app).label("app")).where(QUEUED, mine).cte("apps", recursive=True)
    following = select(func.min(_c.app)).where(QUEUED, mine, _c.app > first.c.app).scalar_subquery()
    apps = first.union_all(select(following).where(first.c.app.is_not(None)))
    return select(apps.c.app).where(apps.c.app.is_not(None))


_APPS: Final = _apps()
_NEXT: Final = (
    select(_c.id)
    .where(QUEUED, _c.provider == bindparam("provider"), _c.app == bindparam("app"), _c.next_at <= bindparam("now"))
    .order_by(_c.next_at, _c.id)
    .limit(bindparam("limit"))
)
_FIRST: Final = select(func.min(_c.next_at)).where(
    QUEUED, _c.provider == bindparam("provider"), _c.app == bindparam("app")
)
_LAST: Final = select(provider.c.last_app).where(provider.c.name == bindparam("provider"))

_EMPTY: Final = {"found": 0, "changed": 0, "unknown": 0, "bad": 0, "failures": 0, "unchanged": 0}
_NOTE: Final = {
    dialect: insert(provider)
    .values(name=bindparam("provider"), last_app=bindparam("app"), **_EMPTY)
    .on_conflict_do_update(index_elements=["name"], set_={"last_app": bindparam("app")})
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


def choose(tx: Connection, name: str, *, limit: int, now: int) -> list[Turn]:
    """The next tasks of a provider, at most ``limit``, that are due."""
    apps = list(tx.execute(_APPS, {"provider": name}).scalars())
    if not apps or limit < 1:
        return []
    last = tx.execute(_LAST, {"provider": name}).scalar() or ""
    order = [app for app in apps if app > last] + [app for app in apps if app <= last]
    share = -(-limit // len(order))
    found = {app: _next(tx, name, app, share, now) for app in order[: limit if share == 1 else None]}
    if sum(map(len, found.values())) < limit:  # who has less leaves its share to the others
        for app in order:
            if len(found.get(app, ())) == share or app not in found:
                found[app] = _next(tx, name, app, limit, now)
    return interleave([[Turn(app, number) for number in found.get(app, ())] for app in order])[:limit]


def first_due(tx: Connection, name: str) -> int | None:
    """When the first waiting task of a provider is due, maybe long ago; None where none waits."""
    apps = tx.execute(_APPS, {"provider": name}).scalars().all()
    return min((tx.execute(_FIRST, {"provider": name, "app": app}).scalar_one() for app in apps), default=None)


def note_turn(tx: Connection, name: str, app: str) -> None:
    """Remember whose turn it was last."""
    tx.execute(_NOTE[tx.dialect.name], {"provider": name, "app": app})


def interleave(rows: Iterable[Sequence[Turn]]) -> list[Turn]:
    """The first of each, then the second of each, and so on."""
    rounds = itertools.zip_longest(*rows)
    return [each for turns in rounds for each in turns if each is not None]


def _next(tx: Connection, name: str, app: str, limit: int, now: int) -> list[int]:
    return list(tx.execute(_NEXT, {"provider": name, "app": app, "limit": limit, "now": now}).scalars())
