"""``kill -9`` of imports and of servers that make reports: files are completed, and each report has one result."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from signalbox.app.hub import upgrade_databases
from signalbox.app.load import Sources, load
from signalbox.app.settings import Settings
from signalbox.grid import components, intake
from signalbox.grid.arrow import readings_to_parquet
from signalbox.grid.chunk_store import count_readings
from signalbox.grid.merging import Readings
from signalbox.grid.models import report
from tests.support.databases import PostgresqlServer
from tests.support.durable_hub import open_engine
from tests.support.processes import SIGNALBOX, ask, serving, started, until

SERIES = 20
EACH = 100_000
COUNT = SERIES * EACH
"""So many that an import takes a dozen steps and more."""
MINUTE = 60_000_000
START = 31_536_000_000_000
"""1971-01-01."""
ORDER = {"start_date": "1971-01-01", "end_date": "1971-03-12", "timezone": "Africa/Monrovia"}
"""Its days began 44 minutes and 30 seconds after those of UTC: a report decodes all readings, which takes long."""
REPORTS = 12


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/signalbox.db"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    with server.database() as place:
        yield place.url


@pytest.fixture
def settings(url: str) -> Settings:
    """Of a database with components."""
    made = load({"database_url": url}, Sources())
    upgrade_databases(made)
    rows = [
        {"id": number, "component_type": "SWITCH", "name": f"S{number}", "substation": "North", "status": "OPEN"}
        for number in range(1, SERIES + 1)
    ]
    with writing(made) as tx:
        components.import_rows(tx, rows, by="test", now=0)
    return made


@contextmanager
def writing(settings: Settings) -> Iterator[sa.Connection]:
    """A transaction by another connection than the hub's."""
    engine = open_engine(settings)
    with engine.begin() as tx:
        yield tx
    engine.dispose()


def readings() -> Readings:
    """Of each component, minute by minute."""
    series = np.tile(np.arange(1, SERIES + 1) * 8, EACH)
    at = START + np.repeat(np.arange(EACH), SERIES) * MINUTE
    return Readings(series, at, np.arange(COUNT, dtype=float))


def statuses(settings: Settings) -> list[str]:
    """Of all reports."""
    with writing(settings) as tx:
        return list(tx.execute(sa.select(report.c.status)).scalars())


def count(settings: Settings) -> int:
    """Readings that are there."""
    with writing(settings) as tx:
        return count_readings(tx)


@pytest.mark.timeout(150)
def test_an_import_that_was_killed_is_completed_by_the_same_file(url: str, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "readings.parquet"
    file.write_bytes(readings_to_parquet(readings()))
    words = ["grid", "import", "measurements", str(file), "--json"]
    with started([SIGNALBOX, *words], folder=tmp_path / "killed", SIGNALBOX_DATABASE_URL=url) as process:
        until(lambda: count(settings) > 0, within=60)
        process.end(signal.SIGKILL)
    before = count(settings)
    assert 0 < before < COUNT, "the import was over when it was killed"
    again = json.loads(finished(words, folder=tmp_path / "again", url=url))
    assert again == {"rows": COUNT, "inserted": COUNT - before, "duplicates": before, "rejected": 0}
    assert count(settings) == COUNT


def finished(words: list[str], *, folder: Path, url: str) -> str:
    """What a command prints by its end, which may be long in coming on a busy machine."""
    with started([SIGNALBOX, *words], folder=folder, SIGNALBOX_DATABASE_URL=url) as process:
        assert process.process.wait(60) == 0, process.err
        return process.out


@pytest.mark.timeout(150)
def test_reports_of_a_server_that_was_killed_are_made_once(url: str, settings: Settings, tmp_path: Path) -> None:
    with writing(settings) as tx:
        intake.insert(tx, readings())
    variables = {"SIGNALBOX_DATABASE_URL": url, "SIGNALBOX_AUTH__ANONYMOUS_SCOPES": '["grid:write", "user"]'}
    with serving(folder=tmp_path / "first", **variables) as server:
        for _ in range(REPORTS):
            assert ask(f"{server.url}/api/reports", method="POST", body=json.dumps(ORDER).encode()).status == 202
        until(lambda: {"running", "completed"} <= set(statuses(settings)))
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
    killed = statuses(settings)
    assert "running" in killed, f"no report was being made when the server was killed: {killed}"
    with serving(folder=tmp_path / "second", **variables) as server:
        until(lambda: len(ask(f"{server.url}/api/reports?status=completed").json) == REPORTS, within=90)
        told = ask(f"{server.url}/api/events?topic=report.completed&limit=100").json
        assert sorted(each["data"]["report"] for each in told) == list(range(1, REPORTS + 1))
        results = [ask(f"{server.url}/api/reports/{number}").json["result"] for number in (1, REPORTS)]
        assert results[0]["daily_averages"] == results[1]["daily_averages"]
