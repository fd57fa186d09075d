import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from signalbox.client import AsyncClient, Change, UnreachableError
from signalbox.criticality import consumer_store
from signalbox.sandbox.consumer import consume, fall_silent
from tests.sandbox.hub_for_apps import hub_for_apps
from tests.support.databases import SqliteTemplate
from tests.support.timing import PATIENCE


async def test_each_app_is_told_of_each_change_once(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    told: Counter[tuple[str, int]] = Counter()
    silent: list[str] = []

    def add(app: str, change: Change | UnreachableError | None) -> None:
        if isinstance(change, Change):
            told[app, change.revision] += 1
        elif change is not None:
            silent.append(app)

    async with (
        hub_for_apps(sqlite_template, tmp_path) as (hub, token),
        AsyncClient(hub.url, token=token, app="p") as producer,
    ):
        work = asyncio.create_task(
            consume(
                hub.url,
                token=token,
                apps=5,
                rate=200,
                jitter=1,
                signal="default",
                on_answer=add,
                dice=random.Random(1),
            )
        )
        async with asyncio.timeout(PATIENCE):
            for revision in (1, 2):
                await producer.report(revision, changed_at=datetime.now(UTC) + timedelta(seconds=revision))
                while sum(number for (_, found), number in told.items() if found == revision) < 5:
                    await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert set(told.values()) == {1}
    assert silent == []


async def test_an_app_that_falls_silent_has_asked_so_often(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    async with hub_for_apps(sqlite_template, tmp_path) as (hub, token), asyncio.timeout(PATIENCE):
        await fall_silent(hub.url, token=token, app="a", signal="default", asks=3, pause=0.01)
        while await hub.hub.context.db.read(_requests) != [("a", 3)]:
            await asyncio.sleep(0.05)


def _requests(tx: Connection) -> list[tuple[str, int]]:
    found = consumer_store.find_consumers(tx, name=None, state=None, before=None, limit=9)
    return [(each.app, each.requests) for each in found]
