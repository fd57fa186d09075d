import pytest

from signalbox.criticality.errors import InvalidSignalError, WrongRevisionError
from signalbox.criticality.service import ask
from signalbox.criticality.service.report import Report, report
from signalbox.criticality.store import Told
from signalbox.infra.db import Database
from tests.criticality.conftest import SETTINGS, START, silent


async def put(db: Database, signal: str, level: int) -> None:
    what = Report(signal, level, START + level, "p")
    await db.write(report, what, settings=SETTINGS, announce=silent, now=START)


async def test_apps_are_told_of_what_their_signals_stand_at(database: Database) -> None:
    await put(database, "s", 3)
    await put(database, "s", 4)
    await put(database, "t", 2)
    wanted = [("a", "s"), ("a", "t"), ("b", "s"), ("b", "none"), ("a", "s")]
    claims = await database.write(ask.claim, wanted, now=START)
    assert claims.won == {("a", "s"), ("a", "t"), ("b", "s")}
    assert {name: each.level for name, each in claims.current.items()} == {"s": 4, "t": 2}
    assert (await database.write(ask.claim, wanted, now=START)).won == frozenset()
    assert [each.level for each in await database.read(ask.read_levels)] == [4, 2]


async def test_only_given_revisions_are_acknowledged(database: Database) -> None:
    await put(database, "s", 3)
    await database.write(ask.acknowledge, Told("a", "s", 1), now=START)
    for told in (Told("a", "s", 2), Told("a", "s", 0), Told("a", "t", 1)):
        with pytest.raises(WrongRevisionError):
            await database.write(ask.acknowledge, told, now=START)
    with pytest.raises(InvalidSignalError):
        await database.write(ask.acknowledge, Told("a", "S", 1), now=START)
