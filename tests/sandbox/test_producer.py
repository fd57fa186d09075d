import asyncio
import random
from pathlib import Path

import pytest

from signalbox.client import Kept, RefusedError, UnreachableError
from signalbox.sandbox.producer import produce
from tests.sandbox.hub_for_apps import hub_for_apps
from tests.support.databases import SqliteTemplate
from tests.support.timing import PATIENCE

Reports = list[tuple[str, Kept | UnreachableError]]


async def produce_until(url: str, token: str, count: int) -> Reports:
    reports: Reports = []
    enough = asyncio.Event()

    def add(app: str, kept: Kept | UnreachableError) -> None:
        reports.append((app, kept))
        if len(reports) >= count:
            enough.set()

    work = asyncio.create_task(
        produce(url, token=token, apps=3, rate=100, jitter=0.5, signal="sim", on_report=add, dice=random.Random(1))
    )
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait([work, asyncio.create_task(enough.wait())], return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        await work
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return reports


async def test_each_app_reports_levels_of_the_scale(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    async with hub_for_apps(sqlite_template, tmp_path) as (hub, token):
        reports = await produce_until(hub.url, token, 20)
        kept = [each for _, each in reports if isinstance(each, Kept)]
        assert {app for app, _ in reports} == {f"producer-{number}" for number in range(3)}
        assert len(kept) == len(reports)
        assert {each.current.level for each in kept} <= {1, 2, 3, 4, 5}
        assert [each.revision for each in kept] == sorted(each.revision for each in kept)


async def test_a_refusal_ends_them_and_silence_does_not(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    async with hub_for_apps(sqlite_template, tmp_path) as (hub, _):
        with pytest.raises(ExceptionGroup) as refused:
            await produce_until(hub.url, "sbx_" + "x" * 40, 1)
        assert refused.group_contains(RefusedError)
    reports = await produce_until(hub.url, "sbx_" + "x" * 40, 3)
    assert all(isinstance(each, UnreachableError) for _, each in reports)
