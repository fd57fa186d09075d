"""What has to be remembered for a while: each a mark with an end, set by one statement that tells who was first."""

from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.notifications.models import mark

_k = mark.c
_FIND_MARK = select(_k.message_id).where(
    _k.scope == bindparam("of"), _k.key == bindparam("name"), _k.until > bindparam("now")
)


def _take_mark(dialect: Any) -> Any:
    new = dialect.insert(mark)
    return new.on_conflict_do_update(
        index_elements=["scope", "key"],
        set_={"until": new.excluded.until, "message_id": new.excluded.message_id},
        where=_k.until <= bindparam("now", type_=_k.until.type),
    ).returning(_k.until)


def _raise_mark(dialect: Any) -> Any:
    new = dialect.insert(mark)
    values = {"until": new.excluded.until, "message_id": new.excluded.message_id}
    return new.on_conflict_do_update(index_elements=["scope", "key"], set_=values)


def _group_mark(dialect: Any) -> Any:
    now, interval = bindparam("now", type_=_k.until.type), bindparam("interval", type_=_k.until.type)
    new = dialect.insert(mark)
    following = case(
        (_k.until > now, _k.until), (_k.until + interval > now, _k.until + interval), else_=new.excluded.until
    )
    return new.on_conflict_do_update(index_elements=["scope", "key"], set_={"until": following}).returning(_k.until)


_DIALECTS = (("sqlite", sqlite), ("postgresql", postgresql))
_TAKE_MARK = {name: _take_mark(dialect) for name, dialect in _DIALECTS}
_RAISE_MARK = {name: _raise_mark(dialect) for name, dialect in _DIALECTS}
_GROUP_MARK = {name: _group_mark(dialect) for name, dialect in _DIALECTS}


def take_mark(tx: Connection, scope: str, key: str, *, until: int, message_id: str, now: int) -> str | None:
    """Set a mark until a moment, unless one is set; None, or the id of the message that has set it.

    Of several that come at the same time, in whatever process, one gets None.
    """
    row = {"scope": scope, "key": key, "until": until, "message_id": message_id, "now": now}
    if tx.execute(_TAKE_MARK[tx.dialect.name], row).first() is not None:
        return None
    return find_mark(tx, scope, key, now=now)


def find_mark(tx: Connection, scope: str, key: str, *, now: int) -> str | None:
    """The id of the message that a mark was set by; None where none is set."""
    found: str | None = tx.execute(_FIND_MARK, {"of": scope, "name": key, "now": now}).scalar_one_or_none()
    return found


def raise_mark(tx: Connection, scope: str, key: str, *, until: int, message_id: str) -> None:
    """Set a mark, or move it on."""
    row = {"scope": scope, "key": key, "until": until, "message_id": message_id}
    tx.execute(_RAISE_MARK[tx.dialect.name], row)


def clear_mark(tx: Connection, scope: str, key: str) -> None:
    """Take a mark away."""
    tx.execute(delete(mark).where(_k.scope == scope, _k.key == key))


def group_moment(tx: Connection, scope: str, key: str, *, wait: int, interval: int, message_id: str, now: int) -> int:
    """When a group is told of next: ``wait`` after its first message, ``interval`` after it was last told of."""
    row = {"scope": scope, "key": key, "until": now + wait, "message_id": message_id, "now": now, "interval": interval}
    moment: int = tx.execute(_GROUP_MARK[tx.dialect.name], row).scalar_one()
    return moment


def delete_marks(tx: Connection, *, older_than: int, limit: int) -> int:
    """Delete at most ``limit`` marks that ended before ``older_than``; how many it were."""
    aged = select(_k.scope, _k.key).where(_k.until < older_than).order_by(_k.until).limit(limit)
    rows = [tuple(row) for row in tx.execute(aged)]
    if rows:
        tx.execute(
            delete(mark).where(_k.scope == bindparam("of"), _k.key == bindparam("name")),
            [{"of": scope, "name": key} for scope, key in rows],
        )
    return len(rows)
