"""What becomes of reports: the producer's time decides acceptance, the hub's number the order."""

from typing import Any

import pytest

from signalbox.criticality import store
from signalbox.criticality.errors import InvalidSignalError, TooManySignalsError, WrongLevelError, WrongTimeError
from signalbox.criticality.models import Current
from signalbox.criticality.service.report import LOWERED, RAISED, Outcome, Report, raise_level, report
from signalbox.criticality.settings import CriticalitySettings
from signalbox.infra.db import Database
from signalbox.infra.events import StoredEvent, find_events
from tests.criticality.conftest import SECOND, SETTINGS, START


class Desk:
    """Reports to a database, and what was announced of them."""

    def __init__(self, db: Database, settings: CriticalitySettings = SETTINGS) -> None:
        self.db, self.settings = db, settings
        self.announced: list[Current] = []

    async def report(self, level: int, at: float, *, now: float = 100, signal: str = "default") -> Outcome:
        what = Report(signal, level, START + round(at * SECOND), "p")
        return await self.db.write(
            report, what, settings=self.settings, announce=self._announce, now=START + round(now * SECOND)
        )

    async def raise_level(self, level: int, *, now: float, hold: float) -> Outcome:
        moment = START + round(now * SECOND)
        what = Report("default", level, moment, "hub")
        return await self.db.write(
            raise_level,
            what,
            hold=round(hold * SECOND),
            settings=self.settings,
            announce=self._announce,
            now=moment,
        )

    def _announce(self, _tx: Any, current: Current) -> None:
        self.announced.append(current)

    async def events(self) -> list[StoredEvent]:
        return (await self.db.read(find_events, limit=50))[::-1]

    async def history(self) -> list[tuple[int, int, str | None]]:
        changes = await self.db.read(store.find_changes, "default", before=None, limit=50)
        return [(each.revision, each.level, each.why) for each in reversed(changes)]


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def said(outcome: Outcome) -> tuple[int, str | None, int, int]:
    """Revision, why not, and the revision and level that are current."""
    return outcome.revision, outcome.why, outcome.current.revision, outcome.current.level


async def test_a_newer_time_becomes_current_and_is_announced(desk: Desk) -> None:
    assert said(await desk.report(3, 1)) == (1, None, 1, 3)
    assert said(await desk.report(2, 2)) == (2, None, 2, 2)
    assert said(await desk.report(2, 3)) == (3, None, 3, 2), "the same level at a later time is a new revision"
    assert [each.revision for each in desk.announced] == [1, 2, 3]


async def test_an_older_time_is_kept_but_not_current(desk: Desk) -> None:
    await desk.report(3, 10)
    assert said(await desk.report(5, 9.999999)) == (2, "older", 1, 3)
    assert said(await desk.report(4, 11)) == (3, None, 3, 4)
    assert await desk.history() == [(1, 3, None), (2, 5, "older"), (3, 4, None)]
    assert [each.revision for each in desk.announced] == [1, 3]


async def test_equal_time_and_level_change_nothing(desk: Desk) -> None:
    await desk.report(3, 10)
    assert said(await desk.report(3, 10)) == (1, None, 1, 3)
    assert await desk.history() == [(1, 3, None)]


async def test_of_equal_times_the_first_level_stays(desk: Desk) -> None:
    await desk.report(3, 10)
    assert said(await desk.report(5, 10)) == (2, "same_time", 1, 3)
    assert said(await desk.report(1, 10)) == (3, "same_time", 1, 3)


async def test_a_time_may_lie_a_minute_ahead_and_no_more(desk: Desk) -> None:
    assert (await desk.report(3, 160, now=100)).why is None
    with pytest.raises(WrongTimeError, match="more than 60 s in the future"):
        await desk.report(3, 160.000001, now=100)
    with pytest.raises(WrongTimeError, match="before 1970"):
        await desk.report(3, -START / SECOND - 1)
    assert (await Desk(desk.db, CriticalitySettings(max_future=61)).report(4, 161, now=100)).why is None


@pytest.mark.parametrize("level", [0, 6, -1])
async def test_levels_outside_the_scale_are_refused(desk: Desk, level: int) -> None:
    with pytest.raises(WrongLevelError, match="from 1 to 5"):
        await desk.report(level, 1)
    assert await desk.history() == []


async def test_the_scale_is_a_setting(database: Database) -> None:
    desk = Desk(database, CriticalitySettings(lowest=0, highest=9, alarm_level=8))
    assert said(await desk.report(9, 1)) == (1, None, 1, 9)


async def test_signals_have_revisions_of_their_own_and_there_are_only_so_many(database: Database) -> None:
    desk = Desk(database, CriticalitySettings(max_signals=2))
    assert [(await desk.report(3, 1, signal=name)).revision for name in ("a", "b")] == [1, 1]
    with pytest.raises(TooManySignalsError):
        await desk.report(3, 1, signal="c")
    for wrong in ("", "history", "A", "a/b", "a" * 65, "ä"):
        with pytest.raises(InvalidSignalError):
            await desk.report(3, 1, signal=wrong)


async def test_a_revision_is_never_given_again_even_without_history(desk: Desk) -> None:
    await desk.report(3, 1)
    await desk.report(2, 0.5)
    deleted = await desk.db.write(store.delete_changes, older_than=START + 1_000 * SECOND, limit=10)
    assert (deleted, await desk.history()) == (1, [(1, 3, None)]), "what is current stays"
    assert (await desk.report(4, 2)).revision == 3


async def test_rises_to_the_alarm_level_and_falls_from_it_are_told(desk: Desk) -> None:
    for position, level in enumerate((3, 4, 5, 5, 4, 3, 2)):
        await desk.report(level, position)
    await desk.report(5, 0.5)
    told = [(each.topic, each.data["before"], each.data["level"]) for each in await desk.events()]
    assert told == [(RAISED, 3, 4), (RAISED, 4, 5), (LOWERED, 5, 4), (LOWERED, 4, 3)]
    assert {each.dedup_key for each in await desk.events()} == {f"criticality/default/{n}" for n in (2, 3, 5, 6)}


async def test_the_first_level_of_all_may_alarm(desk: Desk) -> None:
    await desk.report(4, 1)
    assert [(each.topic, each.data["before"]) for each in await desk.events()] == [(RAISED, None)]


async def test_a_rule_raises_and_never_lowers(desk: Desk) -> None:
    assert said(await desk.raise_level(3, now=1, hold=1)) == (1, None, 1, 3)
    assert said(await desk.raise_level(2, now=2, hold=1)) == (1, None, 1, 3)
    assert said(await desk.raise_level(3, now=3, hold=1)) == (1, None, 1, 3)
    assert said(await desk.raise_level(4, now=4, hold=1)) == (2, None, 2, 4)


async def test_what_a_rule_raises_is_held(desk: Desk) -> None:
    await desk.report(2, 1)
    await desk.raise_level(4, now=10, hold=5)
    assert said(await desk.report(3, 12, now=14.999)) == (3, "held", 2, 4)
    assert said(await desk.report(5, 13, now=14.999)) == (4, None, 4, 5), "higher is always let"
    assert said(await desk.report(4, 14, now=14.999)) == (5, None, 5, 4), "and back to what is held"
    assert said(await desk.report(3, 15, now=15)) == (6, None, 6, 3)


async def test_of_two_holds_the_higher_counts_and_of_equal_ones_the_longer(desk: Desk) -> None:
    await desk.raise_level(4, now=10, hold=10)
    await desk.raise_level(3, now=11, hold=100)
    await desk.raise_level(4, now=12, hold=3)
    assert (await desk.report(3, 13, now=19)).why == "held"
    assert (await desk.report(3, 14, now=20)).why is None


async def test_a_rule_raises_what_a_fast_clock_set(desk: Desk) -> None:
    await desk.report(2, 150, now=100)
    outcome = await desk.raise_level(4, now=101, hold=5)
    assert (outcome.current.level, outcome.current.changed_at) == (4, START + 150 * SECOND + 1)
