"""Levels over time, and who asked how often."""

import pytest

from signalbox.core.times import MINUTE, to_datetime
from signalbox.criticality import store
from signalbox.criticality.errors import InvalidQueryError, InvalidSignalError
from signalbox.criticality.service import overview
from signalbox.criticality.service.report import Report, report
from signalbox.criticality.store import MinuteAsks
from signalbox.infra.context import Context
from signalbox.infra.db import Database
from tests.criticality.conftest import SECOND, SETTINGS, START, silent


async def put(database: Database, second: int, level: int, *, changed: int | None = None) -> None:
    moment = START + second * SECOND
    what = Report("default", level, START + (second if changed is None else changed) * SECOND, "p")
    await database.write(report, what, settings=SETTINGS, announce=silent, now=moment)


async def steps(database: Database, since: int, until: int, *, most: int = 500) -> list[tuple[float, int, int, int]]:
    found = await database.read(
        overview.list_steps, "default", since=START + since * SECOND, until=START + until * SECOND, most=most
    )
    start = to_datetime(START)
    return [((each.at - start).total_seconds(), each.level, each.lowest, each.highest) for each in found]


async def test_steps_begin_with_what_stood_before(database: Database) -> None:
    assert await steps(database, 0, 100) == []
    for second, level in ((10, 2), (20, 5), (30, 3)):
        await put(database, second, level)
    await put(database, 40, 4, changed=5)
    assert await steps(database, 0, 100) == [(10, 2, 2, 2), (20, 5, 5, 5), (30, 3, 3, 3)], "what is not current is none"
    assert await steps(database, 15, 30) == [(10, 2, 2, 2), (20, 5, 5, 5)]
    assert await steps(database, 50, 60) == [(30, 3, 3, 3)]


async def test_many_changes_are_told_by_few_steps_that_keep_the_extremes(database: Database) -> None:
    for second in range(60):
        await put(database, second, 5 if second == 31 else 1 + second % 2)
    found = await steps(database, 0, 60, most=6)
    assert [each[0] for each in found] == [9, 19, 29, 39, 49, 59]
    assert [each[2:] for each in found] == [(1, 2), (1, 2), (1, 2), (1, 5), (1, 2), (1, 2)]
    assert {each[1] for each in found} == {2}


async def test_who_asked_how_often(context: Context) -> None:
    rows = [
        MinuteAsks(START, "a", "default", 1, 6),
        MinuteAsks(START, "a", "default", 2, 1),
        MinuteAsks(START + MINUTE, "a", "default", 1, 2),
        MinuteAsks(START, "b", "default", 1, 1),
        MinuteAsks(START, "b", "other", 1, 2),
        MinuteAsks(START - MINUTE, "c", "default", 1, 100),
    ]
    await context.calls_db.write(store.write_asks, rows)

    async def ask(name: str | None, limit: int = 9) -> list[tuple[str, str, int, float]]:
        period = {"since": START + SECOND, "until": START + 2 * MINUTE}
        found = await context.calls_db.read(overview.list_app_asks, name=name, limit=limit, **period)
        return [(each.app, each.signal, each.asks, each.share) for each in found]

    assert await ask("default") == [("a", "default", 9, 0.9), ("b", "default", 1, 0.1)]
    assert await ask(None) == [("a", "default", 9, 0.75), ("b", "other", 2, 2 / 12), ("b", "default", 1, 1 / 12)]
    assert await ask("default", limit=1) == [("a", "default", 9, 0.9)], "a share is of all asks"
    assert await ask("nobody's") == []


async def test_odd_questions_are_refused(database: Database) -> None:
    with pytest.raises(InvalidQueryError):
        await steps(database, 10, 10)
    with pytest.raises(InvalidQueryError):
        await database.read(overview.list_app_asks, name=None, since=1, until=0, limit=1)
    with pytest.raises(InvalidSignalError):
        await database.read(overview.list_steps, "NO", since=0, until=1)
