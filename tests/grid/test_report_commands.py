"""Reports on the command line; the test makes them in the place of a server."""

import asyncio
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection

from signalbox.app.invocation import Invocation
from signalbox.core.errors import UnprocessableError
from signalbox.core.times import to_micros
from signalbox.grid import report, reports
from signalbox.grid.errors import BadFileError, ReportNotFoundError, ReportUnfinishedError
from tests.grid.test_commands import COMPONENTS, READINGS, Cli

ORDER = ("grid", "reports", "order", "2026-01-01", "2026-01-02")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.run("db", "upgrade")
    return made


def finish(cli: Cli, number: int) -> None:
    """Make a report as a server would."""

    def make(tx: Connection, now: int) -> None:
        reports.begin(tx, number, run=1)
        of = reports.show(tx, number)
        start, end = to_micros(of.start_date), to_micros(of.end_date)
        result = report.build(tx, start, end, ZoneInfo(of.timezone), progress=lambda _: None)
        reports.complete(tx, number, result, run=1, now=now)

    async def work() -> None:
        invocation = Invocation()
        invocation.take("data_dir", str(cli.folder / "data"))
        async with invocation.open_context() as context:
            await context.db.write(make, context.clock.now())

    asyncio.run(work())


def test_a_report_is_ordered_read_and_saved(cli: Cli) -> None:
    cli.run("grid", "import", "components", cli.write("components.csv", COMPONENTS))
    cli.run("grid", "import", "measurements", cli.write("readings.csv", READINGS))
    made = json.loads(cli.run(*ORDER, "--timezone", "Europe/Berlin", "--name", "New year", "--json"))
    assert (made["status"], made["start_date"]) == ("pending", "2025-12-31T23:00:00Z")
    assert made["created_by"].startswith("cli")
    (job,) = json.loads(cli.run("jobs", "list", "--kind", "grid.report", "--json"))
    assert job["state"] == "waiting"
    file = cli.folder / "report.csv"
    with pytest.raises(ReportUnfinishedError):
        cli.run("grid", "reports", "save", "1", str(file))
    finish(cli, made["id"])
    assert "New year" in cli.run("grid", "reports", "list", "--status", "completed")
    assert "POWER" in cli.run("grid", "reports", "show", "1")
    shown = json.loads(cli.run("grid", "reports", "show", "1", "--json"))
    assert shown["result"]["daily_averages"][0]["avg_value"] == 1
    cli.run("grid", "reports", "save", "1", str(file))
    assert file.read_text().splitlines()[1].startswith("2026-01-01,POWER,LINE,1.0")
    with pytest.raises(BadFileError, match=r"\.parquet"):
        cli.run("grid", "reports", "save", "1", "report.docx")


def test_a_report_is_made_anew_and_removed(cli: Cli) -> None:
    cli.run(*ORDER)
    with pytest.raises(ReportUnfinishedError):
        cli.run("grid", "reports", "rerun", "1")
    finish(cli, 1)
    assert json.loads(cli.run("grid", "reports", "rerun", "1", "--json"))["status"] == "pending"
    cli.run("grid", "reports", "remove", "1")
    with pytest.raises(ReportNotFoundError):
        cli.run("grid", "reports", "show", "1")
    trail = json.loads(cli.run("audit", "list", "--target", "report:1", "--json"))
    assert [each["action"] for each in trail] == ["report.delete", "report.rerun", "report.order"]


def test_what_is_no_period_or_name_is_refused(cli: Cli) -> None:
    with pytest.raises(UnprocessableError):
        cli.run("grid", "reports", "order", "2026-01-02", "2026-01-01")
    with pytest.raises(UnprocessableError, match="100"):
        cli.run(*ORDER, "--name", "x" * 101)
    assert cli.run("grid", "reports", "list") == ""
