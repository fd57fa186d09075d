from pathlib import Path
from typing import Any

import sqlalchemy as sa

from signalbox.conversations import jobs, models, store, words
from signalbox.conversations.blocks import ROWS
from signalbox.conversations.sweeping import KEPT_REPLACED, KEPT_UNTOUCHED, sweep_some
from signalbox.infra.context import Context
from signalbox.infra.jobs import cancel, find_jobs
from tests.conversations.conftest import import_folder, made, talk, write

TABLES = (models.block, models.company, models.tag, models.transcript, models.index, models.upload)


def counts(tx: sa.Connection) -> dict[str, int]:
    return {table.name: tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in TABLES}


async def sweep(context: Context, later: int, limit: int = 3) -> None:
    while await context.db.write(sweep_some, context.clock.now() + later, limit):
        pass


async def test_a_replaced_version_goes_and_the_live_one_stays(context: Context, tmp_path: Path) -> None:
    first = await import_folder(context, write(tmp_path / "first"))
    alone = await context.db.read(counts)
    rows = made()
    rows.conversation[0] = talk(1, 1, 1, "other words")
    second = await import_folder(context, write(tmp_path / "second", rows))
    await sweep(context, KEPT_REPLACED - 1)
    assert await context.db.read(counts) != alone, "somebody may still read it"
    await sweep(context, KEPT_REPLACED + 1)
    assert await context.db.read(counts) == alone
    assert await context.db.read(words.find, first.id, ["rivals"]) == []
    assert await context.db.read(words.find, second.id, ["rivals"]) == [2]
    assert await context.db.write(sweep_some, context.clock.now() + KEPT_REPLACED + 2, 3) == 0


async def test_what_a_dead_import_left_goes(context: Context, tmp_path: Path) -> None:
    await import_folder(context, write(tmp_path / "first"))
    alone = await context.db.read(counts)

    def leave(tx: sa.Connection) -> int:
        values: dict[str, Any] = {"source": "x", "actor": "a", "forced": False, "state": "loading"}
        number = store.add_import(tx, **values, now=context.clock.now())
        store.add_blocks(tx, number, [(at * ROWS, b"x") for at in range(8)])
        store.add_upload(tx, number, 0, b"x")
        return number

    number = await context.db.write(leave)
    await sweep(context, KEPT_UNTOUCHED - 1)
    assert await context.db.read(counts) != alone, "it may still be under way"
    await sweep(context, KEPT_UNTOUCHED + 1)
    await sweep(context, KEPT_UNTOUCHED + KEPT_REPLACED + 2)
    assert await context.db.read(counts) == alone
    of = await context.db.read(store.find_import, number)
    assert of is not None
    assert (of.state, of.swept) == ("failed", True)


async def test_an_import_that_has_a_job_is_under_way_however_long_nothing_was_heard_of_it(context: Context) -> None:
    values: dict[str, Any] = {"source": "x", "actor": "a", "forced": False, "state": "loading"}
    now = context.clock.now()
    number = await context.db.write(store.add_import, **values, now=now)
    await context.db.write(store.add_upload, number, 0, b"x")
    await context.db.write(jobs.enqueue, number, now=now)

    async def state() -> tuple[str, bool]:
        of = await context.db.read(store.find_import, number)
        assert of is not None
        return of.state, of.swept

    for begun in ("queued", "loading"):
        await context.db.write(lambda tx, state: store.change_import(tx, number, state=state, now=now), begun)
        await sweep(context, 9 * KEPT_UNTOUCHED)
        assert await state() == (begun, False)
    (job,) = await context.db.read(find_jobs, limit=9)
    await context.db.write(cancel, job.id, now=now)
    await sweep(context, 9 * KEPT_UNTOUCHED)
    await sweep(context, 10 * KEPT_UNTOUCHED)
    assert await state() == ("failed", True)
    assert await context.db.read(store.read_upload, number, 0) is None
