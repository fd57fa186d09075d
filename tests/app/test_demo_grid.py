"""The grid of the demo."""

import asyncio
import io
from pathlib import Path

from rich.console import Console

from signalbox.app.demo_grid import load_grid
from signalbox.app.demo_settings import demo_settings
from signalbox.app.hub import open_hub, upgrade_databases
from signalbox.grid import report_schedules, reports, rules
from signalbox.grid.chunk_store import count_readings
from signalbox.sandbox.world import opened_world
from tests.support.timing import PATIENCE


async def test_a_week_is_there_with_a_rule_a_schedule_and_a_finished_report(tmp_path: Path) -> None:
    async with opened_world() as world:
        settings = demo_settings(tmp_path, world, 8123)
        upgrade_databases(settings)
        async with open_hub(settings) as hub:
            screen = io.StringIO()
            meters = await load_grid(hub, Console(file=screen, force_terminal=True))
            assert "a week of a power grid" in screen.getvalue()
            db = hub.context.db
            assert await db.read(count_readings) == len(meters) * 7 * 1440
            (rule,) = (await db.read(rules.list_rules, limit=5)).items
            assert rule.condition == "POWER > 55 for 3 readings"
            (schedule,) = (await db.read(report_schedules.list_schedules, limit=5)).items
            assert schedule.every == "day"
            async with asyncio.timeout(PATIENCE):
                while (await db.read(reports.show, 1)).status != "completed":
                    await asyncio.sleep(0.05)
            found = await db.read(reports.show, 1)
            assert found.result is not None
            assert found.result["provenance"]["readings"] == len(meters) * 7 * 1440
