"""What is known of channels besides their settings: whether they are paused or disabled."""

from typing import Any

from sqlalchemy import Connection, case, update
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.infra.events import Event, publish
from signalbox.notifications.models import channel_state
from signalbox.notifications.store import forget_obstacles

DISABLED = "channel.disabled"

_s = channel_state.c


def _upsert(tx: Connection) -> Any:
    return (postgresql if tx.dialect.name == "postgresql" else sqlite).insert(channel_state)


def pause(tx: Connection, name: str, *, until: int) -> None:
    """Send nothing through a channel until then; the later end wins."""
    new = _upsert(tx).values(name=name, paused_until=until)
    later = case((_s.paused_until > new.excluded.paused_until, _s.paused_until), else_=new.excluded.paused_until)
    forget_obstacles(tx)
    tx.execute(new.on_conflict_do_update(index_elements=["name"], set_={"paused_until": later}))


def disable(tx: Connection, name: str, *, reason: str, now: int) -> bool:
    """Send nothing through a channel until somebody enables it; False where it was disabled already.

    The event ``channel.disabled`` is published. Nothing goes in a circle by that, whatever the channel was telling of:
    each can end once, and a message about it goes to those that are left.
    """
    new = _upsert(tx).values(name=name, disabled_at=now, disabled_reason=reason)
    values = {"disabled_at": now, "disabled_reason": reason}
    changed = new.on_conflict_do_update(index_elements=["name"], set_=values, where=_s.disabled_at.is_(None)).returning(
        _s.name
    )
    forget_obstacles(tx)
    if tx.execute(changed).first() is None:
        return False
    publish(tx, Event(DISABLED, {"channel": name, "reason": reason}, severity="error"), now=now)
    return True


def enable(tx: Connection, name: str) -> bool:
    """Send through a channel again, at once; False where nothing kept it from that."""
    halted = _s.disabled_at.is_not(None) | _s.paused_until.is_not(None)
    forget_obstacles(tx)
    values = {"disabled_at": None, "disabled_reason": None, "paused_until": None}
    return tx.execute(update(channel_state).where(_s.name == name, halted).values(values)).rowcount > 0
