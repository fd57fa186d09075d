"""Levels set by hand: they hold against clocks that are ahead and against rules, and are in the audit trail."""

from typing import Any

import pytest

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.criticality.errors import InvalidSignalError, TooManySignalsError, WrongLevelError
from signalbox.criticality.models import Current
from signalbox.criticality.service import override
from signalbox.criticality.service.report import Outcome, Report, raise_level, report
from signalbox.criticality.settings import CriticalitySettings
from signalbox.infra.db import Database
from tests.criticality.conftest import SECOND, SETTINGS, START, silent


async def set_level(
    database: Database, level: int, *, signal: str = "default", settings: CriticalitySettings = SETTINGS
) -> tuple[Outcome, list[Current]]:
    announced: list[Current] = []

    def announce(_tx: Any, current: Current) -> None:
        announced.append(current)

    what = Report(signal, level, 0, "user:anna", "drill")
    outcome = await database.write(override.set_level, what, settings=settings, announce=announce, now=START)
    return outcome, announced


async def test_it_is_stamped_with_the_hubs_clock_and_announced(database: Database) -> None:
    outcome, announced = await set_level(database, 4)
    assert announced == [outcome.current]
    current = outcome.current
    assert (current.level, current.changed_at, current.received_at) == (4, START, START)
    assert (current.set_by, current.reason, current.revision) == ("user:anna", "drill", 1)


async def test_it_holds_against_a_producer_whose_clock_is_ahead(database: Database) -> None:
    ahead = Report("default", 5, START + 30 * SECOND, "p")
    await database.write(report, ahead, settings=SETTINGS, announce=silent, now=START)
    outcome, _ = await set_level(database, 1)
    assert (outcome.why, outcome.current.level) == (None, 1)
    assert outcome.current.changed_at == START + 30 * SECOND + 1


async def test_it_ends_a_hold(database: Database) -> None:
    rule = Report("default", 5, START, "hub")
    await database.write(raise_level, rule, hold=60 * SECOND, settings=SETTINGS, announce=silent, now=START)
    outcome, _ = await set_level(database, 2)
    assert (outcome.why, outcome.current.level) == (None, 2)
    later = Report("default", 1, START + 2 * SECOND, "p")
    found = await database.write(report, later, settings=SETTINGS, announce=silent, now=START + 2 * SECOND)
    assert found.why is None, "producers have their say again"


async def test_who_did_it_is_audited(database: Database) -> None:
    for level in (4, 2):
        await set_level(database, level)
    second, first = await database.read(list_entries, wanted=AuditFilter(action="level.set"), limit=9)
    assert (first.actor, first.target, first.before) == ("user:anna", "signal:default", None)
    assert first.after == {"level": 4, "reason": "drill", "revision": 1}
    assert (second.before, second.after) == (first.after, {"level": 2, "reason": "drill", "revision": 2})


async def test_what_producers_may_not_say_nobody_may(database: Database) -> None:
    with pytest.raises(WrongLevelError):
        await set_level(database, 6)
    with pytest.raises(InvalidSignalError):
        await set_level(database, 3, signal="History!")
    await set_level(database, 3)
    with pytest.raises(TooManySignalsError):
        await set_level(database, 3, signal="other", settings=CriticalitySettings(max_signals=1))
    assert len(await database.read(list_entries, wanted=AuditFilter(), limit=9)) == 1
