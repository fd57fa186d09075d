"""An app is told of a change: the database says to whom, so that of many who ask at once one gets it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from signalbox.criticality import store
from signalbox.criticality.errors import WrongRevisionError
from signalbox.criticality.models import Current
from signalbox.criticality.service.report import check_signal
from signalbox.criticality.store import Pair, Told


@dataclass(frozen=True, slots=True)
class Claims:
    """What became of asks that were claimed together."""

    current: Mapping[str, Current]
    """What the signals stood at, by name; those without a level are left out."""
    won: frozenset[Pair]
    """Apps, with their signals, that had not been told of it: their answer is the level. All others have been."""


def read_levels(tx: Connection) -> list[Current]:
    """What every signal stands at; those without a level are left out."""
    return store.find_signals(tx)


def claim(tx: Connection, wanted: Iterable[Pair], *, now: int) -> Claims:
    """Note that apps are told of what their signals stand at, in one statement; each change once for each app."""
    pairs = set(wanted)
    current = {each.signal: each for each in store.find_signals(tx, names={name for _, name in pairs})}
    told = [Told(app, name, current[name].revision) for app, name in sorted(pairs) if name in current]
    return Claims(current, frozenset(store.claim(tx, told, now=now)) if told else frozenset())


def acknowledge(tx: Connection, told: Told, *, now: int) -> None:
    """Note that an app says it has a revision; it is told of that no more.

    Raises:
        InvalidSignalError: the signal's name is none.
        WrongRevisionError: no such revision was given yet.
    """
    found = store.find_signal(tx, check_signal(told.signal))
    if found is None or not 0 < told.revision <= found.last_revision:
        msg = f"the signal {told.signal} has no revision {told.revision}"
        raise WrongRevisionError(msg)
    store.acknowledge(tx, told, now=now)
