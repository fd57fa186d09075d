"""Consumers that fall silent: by the hub's clock, once for each outage, and not while the hub itself was away."""

from collections.abc import Sequence

from sqlalchemy import Connection

from signalbox.core.times import MICROSECONDS, to_rfc3339
from signalbox.criticality import consumer_store
from signalbox.criticality.consumer_store import Asked, Outage
from signalbox.infra.events import Event, publish

SILENT, BACK = "criticality.consumer_silent", "criticality.consumer_back"

BEAT = 5 * MICROSECONDS
"""How often a process that serves says so."""
GAP = 3 * BEAT
"""Silence of all processes after which the hub is taken to have been down."""
OTHERS = BEAT + BEAT // 2
"""Age of the newest beat up to which a process that begins takes others to be serving."""

LATENESS = 3 * MICROSECONDS
"""By then each ask is written down: what is to be said of a moment is said so much later."""

AT_ONCE = 500
"""Outages that one transaction tells of."""


def note_asks(tx: Connection, asks: Sequence[Asked], *, now: int) -> None:
    """Write down who asked, and that this process serves."""
    if asks:
        consumer_store.note_asks(tx, asks)
    consumer_store.beat(tx, alive_after=now - GAP, now=now)


def begin(tx: Connection, *, alone: bool, now: int) -> None:
    """Say that this process begins to serve. ``alone``: no other can have served in the meantime."""
    consumer_store.beat(tx, alive_after=now if alone else now - OTHERS, now=now)


def check(tx: Connection, *, now: int) -> int:
    """Tell of consumers that fell silent, and of those that are back; how many they were, at most ``2 * AT_ONCE``.

    ``now`` is a moment of which all asks are known, ``LATENESS`` ago. While no process serves, nobody can ask, so nobody is silent; and once one does, each has its whole interval.
    """
    back = consumer_store.end_outages(tx, now=now, limit=AT_ONCE)
    for each in back:
        publish(tx, _to_event(BACK, each, silent_since=each.silent_since), now=now)
    found = consumer_store.find_pulse(tx)
    if found is None or found[0] < now - GAP:
        return len(back)
    silent = consumer_store.mark_silent(tx, up_since=found[1], now=now, limit=AT_ONCE)
    for each in silent:
        publish(tx, _to_event(SILENT, each, silent_since=now), now=now)
    return len(back) + len(silent)


def _to_event(topic: str, outage: Outage, *, silent_since: int) -> Event:
    last = outage.last_asked_at
    data = {
        "app": outage.app,
        "signal": outage.signal,
        "interval_seconds": outage.period / MICROSECONDS,
        "last_asked_at": None if last is None else to_rfc3339(last),
        "silent_since": to_rfc3339(silent_since),
    }
    key = f"{topic}/{outage.id}/{silent_since}"
    return Event(topic, data, severity="warning" if topic == SILENT else "info", dedup_key=key)
