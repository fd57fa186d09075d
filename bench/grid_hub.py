"""The hub's store of readings, without its API: loads a file and makes reports. Started by ``grid.py``.

``python bench/grid_hub.py FILE COMPONENTS MINUTES FOLDER [URL]``; prints what it measured as one line of JSON.
"""

import asyncio
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from grid_data import MINUTE, START, component
from signalbox.grid import blocks, bulk, components, report
from signalbox.grid.arrow import load_pyarrow
from signalbox.grid.kinds import check
from signalbox.infra.db import Database
from signalbox.infra.db.migrate import upgrade
from signalbox.infra.db.postgresql import open_postgresql, postgresql_engine
from signalbox.infra.db.sqlite import open_sqlite, sqlite_engine

TIMES: Final = 7
"""Each report is made so often; the median counts, and the first, which fills caches, is shown too."""
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
ODD: Final = 17_000_000
"""Seventeen seconds: no rollup begins there."""


def main() -> None:
    """Measure once."""
    file, count, minutes, folder = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    print(json.dumps(asyncio.run(_measure(_open(folder, *sys.argv[5:]), file, count, minutes))))


def _open(folder: Path, url: str | None = None) -> Database:
    engine = sqlite_engine(folder / "hub.db") if url is None else postgresql_engine(url)
    upgrade(engine, "main")
    engine.dispose()
    return open_sqlite(folder / "hub.db") if url is None else open_postgresql(url)


async def _measure(db: Database, file: Path, count: int, minutes: int) -> dict[str, Any]:
    await db.write(_add_components, count)
    load_pyarrow()  # as other stores have their libraries
    began = time.perf_counter()
    outcome = await bulk.import_file(db, file, told=lambda _outcome: None)
    loaded = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    stale = await _time_reports(db, {"full": _periods(minutes)["full"]})
    began = time.perf_counter()
    while await db.write(lambda tx: blocks.build_blocks(tx, now=2**60, limit=2_000)):
        pass
    built = time.perf_counter() - began
    reports = await _time_reports(db, _periods(minutes))
    await db.close()
    return {
        "readings": outcome.inserted,
        "load_s": loaded,
        "memory_mb": memory,
        "build_s": built,
        "stale": stale,
        "reports": reports,
    }


def _add_components(tx: Connection, count: int) -> None:
    for number in range(1, count + 1):
        components.add(tx, check(component(number)), by="bench", now=START)


def _periods(minutes: int) -> dict[str, tuple[int, int, str]]:
    end = START + minutes * MINUTE
    day = START + 5 * DAY
    return {
        "full": (START, end, "UTC"),
        "full, Europe/Berlin": (START, end, "Europe/Berlin"),
        "full, Asia/Kolkata": (START, end, "Asia/Kolkata"),
        "one day": (day, day + DAY, "UTC"),
        "7.5 h, unaligned": (day + ODD, day + ODD + 15 * HOUR // 2, "UTC"),
        "full, unaligned": (START + ODD, end - HOUR + ODD, "UTC"),
    }


async def _time_reports(db: Database, periods: dict[str, tuple[int, int, str]]) -> dict[str, dict[str, float]]:
    found = {}
    for name, period in periods.items():
        runs = [await db.read(_timed(*period)) for _ in range(TIMES)]
        found[name] = {
            "ms": statistics.median(seconds for seconds, _ in runs) * 1000,
            "first_ms": runs[0][0] * 1000,
            "readings": runs[0][1],
        }
    return found


def _timed(start: int, end: int, zone: str) -> Callable[[Connection], tuple[float, int]]:
    def build(tx: Connection) -> tuple[float, int]:
        began = time.perf_counter()
        made = report.build(tx, start, end, ZoneInfo(zone), progress=lambda _share: None)
        return time.perf_counter() - began, int(made["provenance"]["readings"])

    return build


if __name__ == "__main__":
    main()
