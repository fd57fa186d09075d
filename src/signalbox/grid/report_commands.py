"""Reports on the command line; a worker or a running server makes them."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from signalbox.auth import terminal
from signalbox.auth.terminal import Json, Listing, Opener, run
from signalbox.core.errors import Fault, UnprocessableError
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT
from signalbox.grid import reports
from signalbox.grid.errors import BadFileError
from signalbox.grid.report_files import report_to_csv, report_to_html, report_to_parquet
from signalbox.grid.schemas import NewReport, ReportDetail, ReportOut, ReportStatus
from signalbox.infra.context import Context

Number = Annotated[
    int, typer.Argument(help="Its id, as `grid reports list` shows it.", min=1, max=2**63 - 1, metavar="ID")
]

_WRITERS: Final[dict[str, Callable[[ReportDetail], str | bytes]]] = {
    ".csv": report_to_csv,
    ".parquet": report_to_parquet,
    ".html": report_to_html,
}


def build_reports(open_context: Opener) -> typer.Typer:
    """The group ``grid reports``."""
    group = typer.Typer(no_args_is_help=True, help="Daily averages and sums of a period.")
    _add_looks(group, open_context)
    _add_changes(group, open_context)
    return group


def _add_looks(group: typer.Typer, open_context: Opener) -> None:
    @group.command("list")
    def list_reports(
        *,
        status: Annotated[ReportStatus | None, typer.Option(help="Only in this status.", show_default=False)] = None,
        limit: Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="How many at most.")] = DEFAULT_LIMIT,
        as_json: Json = False,
    ) -> None:
        """List reports, newest first."""

        async def work(context: Context) -> list[ReportOut]:
            return (await context.db.read(reports.list_reports, status=status, limit=limit)).items

        found = run(open_context, work)
        if as_json:
            terminal.print_json([_to_json(each) for each in found])
        else:
            terminal.print_listing(_listing(found))

    @group.command()
    def show(report: Number, *, as_json: Json = False) -> None:
        """Show a report, with `--json` all that it says."""
        found = _read(open_context, report)
        if as_json:
            terminal.print_json(_to_json(found))
            return
        rows = [(name, str(value)) for name, value in asdict(found).items() if value is not None and name != "result"]
        terminal.print_listing(Listing(["Report", str(found.id)], rows[1:], ""))
        if found.result is not None:
            terminal.print_listing(_averages(found.result))

    @group.command()
    def save(
        report: Number,
        file: Annotated[Path, typer.Argument(help="Where to: .csv, .parquet or .html.", metavar="FILE")],
    ) -> None:
        """Write a finished report into a file."""
        writer = _WRITERS.get(file.suffix.lower())
        if writer is None:
            msg = f"{file.name} says no form of a report; end its name in {', '.join(_WRITERS)}"
            raise BadFileError(msg)
        content = writer(_read(open_context, report))
        try:
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        except OSError as error:
            msg = f"{file} cannot be written: {error.strerror}"
            raise BadFileError(msg) from error
        terminal.say(f"Report {report} is in {file}.")


def _add_changes(group: typer.Typer, open_context: Opener) -> None:
    @group.command()
    def order(
        start: Annotated[str, typer.Argument(help="First day, such as 2026-01-01, or a time.", metavar="START")],
        end: Annotated[str, typer.Argument(help="Day behind the last, or a time.", metavar="END")],
        *,
        timezone: Annotated[str, typer.Option(help="Of which zone the days are.")] = "UTC",
        name: Annotated[str | None, typer.Option(help="What it is called.", show_default=False)] = None,
        as_json: Json = False,
    ) -> None:
        """Have a report made by the server or a worker."""
        new = _to_new(start, end, timezone, name)

        async def work(context: Context) -> ReportOut:
            return await context.db.write(reports.order, new, by=terminal.actor(), now=context.clock.now())

        _tell(run(open_context, work), "is ordered", as_json=as_json)

    @group.command()
    def rerun(report: Number, *, as_json: Json = False) -> None:
        """Make a report anew, of what is measured by now."""

        async def work(context: Context) -> ReportOut:
            return await context.db.write(reports.rerun, report, by=terminal.actor(), now=context.clock.now())

        _tell(run(open_context, work), "is made anew", as_json=as_json)

    @group.command()
    def remove(report: Number) -> None:
        """Remove a report; if it is being made, nothing comes of that."""

        async def work(context: Context) -> None:
            await context.db.write(reports.delete, report, by=terminal.actor(), now=context.clock.now())

        run(open_context, work)
        terminal.say(f"Report {report} is removed.")


def _to_new(start: str, end: str, timezone: str, name: str | None) -> NewReport:
    given = {"start_date": start, "end_date": end, "timezone": timezone, "name": name}
    try:
        return msgspec.convert(given, NewReport)
    except msgspec.ValidationError as error:
        raise UnprocessableError([Fault("report", str(error))]) from None


def _read(open_context: Opener, number: int) -> ReportDetail:
    async def work(context: Context) -> ReportDetail:
        return await context.db.read(reports.show, number)

    return run(open_context, work)


def _to_json(of: ReportOut) -> Any:
    return msgspec.to_builtins(asdict(of))


def _tell(of: ReportOut, what: str, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(_to_json(of))
    terminal.say(f"Report {of.id} {what}; see how far it is: signalbox grid reports show {of.id}")


def _listing(found: list[ReportOut]) -> Listing:
    rows = [
        (
            str(each.id),
            each.name or "",
            terminal.show_minute(each.start_date),
            terminal.show_minute(each.end_date),
            each.status if each.status != "running" else f"running, {each.progress:.0%}",
            each.created_by,
            each.error or "",
        )
        for each in found
    ]
    hint = "There are no such reports. Order one: signalbox grid reports order 2026-01-01 2026-01-08"
    return Listing(["Id", "Name", "From", "To", "Status", "By", "Error"], rows, hint)


def _averages(result: dict[str, Any]) -> Listing:
    rows = [
        (
            row["day"],
            row["measurement_type"],
            row["component_type"],
            f"{row['avg_value']:g}",
            f"{row['min_value']:g}",
            f"{row['max_value']:g}",
            f"{row['count']:,}",
        )
        for row in result["daily_averages"]
    ]
    headings = ["Day", "Measured", "Components", "Average", "Lowest", "Highest", "Readings"]
    return Listing(headings, rows, "Nothing was measured in this time.")
