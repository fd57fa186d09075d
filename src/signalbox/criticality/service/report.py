"""A producer reports a level: the hub gives it a number, and the producer's time decides whether it becomes current."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from signalbox.core.times import MICROSECONDS, to_rfc3339
from signalbox.criticality import store
from signalbox.criticality.errors import InvalidSignalError, TooManySignalsError, WrongLevelError, WrongTimeError
from signalbox.criticality.models import Change, Current, StoredSignal
from signalbox.criticality.schemas import Why
from signalbox.criticality.settings import CriticalitySettings, is_signal
from signalbox.infra.events import Event, publish

RAISED, LOWERED = "criticality.raised", "criticality.lowered"

Announce = Callable[[Connection, Current], None]
"""Tells all processes, once the transaction is committed, what a signal stands at."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a producer says. Times are microseconds UTC."""

    signal: str
    level: int
    changed_at: int
    """When it changed, by the producer's clock."""
    set_by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a report."""

    revision: int
    why: Why | None
    """Why it did not become current; None where it did, or said what is current already."""
    current: Current


def report(tx: Connection, what: Report, *, settings: CriticalitySettings, announce: Announce, now: int) -> Outcome:
    """Keep a report; of reports for the same moment the first stays, whatever the order they come in.

    Raises:
        InvalidSignalError: the signal's name is none.
        WrongLevelError: the level lies outside the scale.
        WrongTimeError: it changed too far in the future, or before 1970.
        TooManySignalsError: the signal would be one too many.
    """
    check_signal(what.signal)
    _check(what, settings, now)
    found = _locked(tx, what.signal, settings)
    current = found.current
    if current is not None and (current.changed_at, current.level) == (what.changed_at, what.level):
        return Outcome(current.revision, None, current)
    new = Change(
        signal=what.signal,
        revision=found.last_revision + 1,
        level=what.level,
        changed_at=what.changed_at,
        received_at=now,
        set_by=what.set_by,
        reason=what.reason,
        why=_why_not(found, what, now),
    )
    return _keep(tx, new, found.current, settings, announce)


def raise_level(
    tx: Connection, what: Report, *, hold: int, settings: CriticalitySettings, announce: Announce, now: int
) -> Outcome:
    """Raise a signal by a rule, and hold it for ``hold`` microseconds; where it is as high already it is only held.

    Raises:
        TooManySignalsError: the signal would be one too many.
    """
    found = _locked(tx, what.signal, settings)
    current = found.current
    _hold(tx, found, what.level, until=now + hold, now=now)
    if current is not None and current.level >= what.level:
        return Outcome(current.revision, None, current)
    # a producer's clock may be ahead of the hub's: what the rule raises must not be older than what it raises
    changed_at = what.changed_at if current is None else max(what.changed_at, current.changed_at + 1)
    new = Change(
        signal=what.signal,
        revision=found.last_revision + 1,
        level=what.level,
        changed_at=changed_at,
        received_at=now,
        set_by=what.set_by,
        reason=what.reason,
        why=None,
    )
    return _keep(tx, new, current, settings, announce)


def check_signal(name: str) -> str:
    """The name of a signal.

    Raises:
        InvalidSignalError: it is none.
    """
    if not is_signal(name):
        msg = f"{name[:64]!r} is no name of a signal; use up to 64 of a-z, 0-9, '.', '_' and '-', no reserved word"
        raise InvalidSignalError(msg)
    return name


def _check(what: Report, settings: CriticalitySettings, now: int) -> None:
    if not settings.lowest <= what.level <= settings.highest:
        raise WrongLevelError(what.level, lowest=settings.lowest, highest=settings.highest)
    if what.changed_at > now + round(settings.max_future * MICROSECONDS):
        msg = f"lies more than {settings.max_future:g} s in the future; the hub's clock says {to_rfc3339(now)}"
        raise WrongTimeError(msg)
    if what.changed_at < 0:
        msg = "lies before 1970"
        raise WrongTimeError(msg)


def _locked(tx: Connection, name: str, settings: CriticalitySettings) -> StoredSignal:
    """The signal, which nobody else changes until the transaction ends; made where it is new."""
    found = store.find_signal(tx, name, lock=True)
    if found is not None:
        return found
    if store.count_signals(tx) >= settings.max_signals:
        msg = f"there are {settings.max_signals} signals already"
        raise TooManySignalsError(msg)
    store.add_signal(tx, name)
    found = store.find_signal(tx, name, lock=True)
    if found is None:
        msg = f"the signal {name} has gone; signals are never deleted"
        raise RuntimeError(msg)
    return found


def _hold(tx: Connection, found: StoredSignal, level: int, *, until: int, now: int) -> None:
    """Of two holds the higher counts, of two as high the longer."""
    if _is_held_above(found, level, now):
        return
    if found.held_level == level:
        until = max(until, found.held_until or 0)
    store.hold(tx, found.name, level=level, until=until)


def _is_held_above(found: StoredSignal, level: int, now: int) -> bool:
    if found.held_level is None or found.held_until is None:
        return False
    return now < found.held_until and level < found.held_level


def _why_not(found: StoredSignal, what: Report, now: int) -> Why | None:
    current = found.current
    if current is None:
        return None
    if what.changed_at < current.changed_at:
        return "older"
    if what.changed_at == current.changed_at:
        return "same_time"
    return "held" if _is_held_above(found, what.level, now) else None


def _keep(
    tx: Connection, new: Change, before: Current | None, settings: CriticalitySettings, announce: Announce
) -> Outcome:
    store.add_change(tx, new)
    if new.why is not None and before is not None:
        return Outcome(new.revision, new.why, before)
    current = Current(new.signal, new.revision, new.level, new.changed_at, new.received_at, new.set_by, new.reason)
    announce(tx, current)
    event = _to_event(current, before, settings.alarm_level)
    if event is not None:
        publish(tx, event, now=new.received_at)
    return Outcome(new.revision, None, current)


def _to_event(current: Current, before: Current | None, alarm_level: int) -> Event | None:
    """The event of a rise to, or a fall from, the level that alarms."""
    was = None if before is None else before.level
    raised = current.level >= alarm_level and (was is None or current.level > was)
    lowered = was is not None and was >= alarm_level and current.level < was
    if not raised and not lowered:
        return None
    data: dict[str, Any] = {
        "signal": current.signal,
        "level": current.level,
        "before": was,
        "revision": current.revision,
        "changed_at": to_rfc3339(current.changed_at),
        "set_by": current.set_by,
        "reason": current.reason,
    }
    key = f"criticality/{current.signal}/{current.revision}"
    return Event(RAISED if raised else LOWERED, data, severity="warning" if raised else "info", dedup_key=key)
