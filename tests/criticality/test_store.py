import asyncio

import pytest
import sqlalchemy as sa

from signalbox.criticality import store
from signalbox.criticality.models import Change
from signalbox.criticality.store import Told
from signalbox.infra.db import Database
from tests.criticality.conftest import START


async def test_a_claim_is_won_once_whoever_asks(database: Database) -> None:
    told = [Told(f"app-{number}", "s", 3) for number in range(50)]
    won = await asyncio.gather(*(database.write(store.claim, told, now=START) for _ in range(6)))
    assert sorted(len(each) for each in won) == [0, 0, 0, 0, 0, 50]


async def test_older_revisions_are_not_claimed_after_newer_ones(database: Database) -> None:
    for revision, wins in ((2, 1), (1, 0), (2, 0), (3, 1)):
        won = await database.write(store.claim, [Told("a", "s", revision)], now=START)
        assert len(won) == wins


async def test_names_are_kept_as_they_are(database: Database) -> None:
    odd = "user:Änne \"x\" 'y' \\ 😀"
    assert await database.write(store.claim, [Told(odd, "s", 1)], now=START) == {(odd, "s")}


async def test_acknowledging_goes_forward_only(database: Database) -> None:
    for revision in (2, 1):
        await database.write(store.acknowledge, Told("a", "s", revision), now=START)
    rows = await database.read(
        lambda tx: tx.execute(sa.text("SELECT delivered, acknowledged FROM criticality_delivery")).all()
    )
    assert [tuple(row) for row in rows] == [(2, 2)]
    assert await database.write(store.claim, [Told("a", "s", 2)], now=START) == set()


async def test_old_reports_go_but_never_what_is_current(database: Database) -> None:
    await database.write(store.add_signal, "s")
    for revision in range(1, 6):
        why = None if revision == 2 else "older"
        new = Change("s", revision, 3, START, START + revision, "p", None, why)  # type: ignore[arg-type]
        await database.write(store.add_change, new)
    assert await database.write(store.delete_changes, older_than=START + 5, limit=2) == 2
    assert await database.write(store.delete_changes, older_than=START + 5, limit=2) == 1
    left = await database.read(store.find_changes, "s", before=None, limit=9)
    assert [each.revision for each in left] == [5, 2]


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_history_is_read_by_index(database: Database) -> None:
    def plan(tx: sa.Connection) -> str:
        statement = "EXPLAIN QUERY PLAN SELECT * FROM criticality_change WHERE signal = 's' ORDER BY revision DESC"
        return str(tx.exec_driver_sql(statement).all())

    found = await database.read(plan)
    assert "USING INDEX" in found
    assert "TEMP B-TREE" not in found
