"""A person sets a level by hand."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from signalbox.auth import audit
from signalbox.criticality import store
from signalbox.criticality.models import Current
from signalbox.criticality.service.report import Announce, Outcome, Report, report
from signalbox.criticality.settings import CriticalitySettings


def set_level(
    tx: Connection,
    what: Report,
    *,
    settings: CriticalitySettings,
    announce: Announce,
    now: int,
    request_id: str | None = None,
) -> Outcome:
    """Set a level as of now, whatever producers and rules say, and write it into the audit trail.

    It is stamped with the hub's clock, or just behind what is current where that is ahead; a hold by a rule ends with
    it. Producers may change it by their next reports. ``what.changed_at`` is not looked at.

    Raises:
        InvalidSignalError: the signal's name is none.
        WrongLevelError: the level lies outside the scale.
        TooManySignalsError: the signal would be one too many.
    """
    found = store.find_signal(tx, what.signal, lock=True)
    before = None if found is None else found.current
    if found is not None:
        store.hold(tx, what.signal, level=None, until=None)
    changed_at = now if before is None else max(now, before.changed_at + 1)
    outcome = report(tx, replace(what, changed_at=changed_at), settings=settings, announce=announce, now=now)
    audit.record(
        tx,
        actor=what.set_by,
        action="level.set",
        target=f"signal:{what.signal}",
        before=_audited(before),
        after=_audited(outcome.current),
        at=now,
        request_id=request_id,
    )
    return outcome


def _audited(current: Current | None) -> dict[str, Any] | None:
    return None if current is None else {"level": current.level, "reason": current.reason, "revision": current.revision}
