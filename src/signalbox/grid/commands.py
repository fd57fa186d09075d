"""The grid on the command line."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TextIO

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from signalbox.auth import terminal
from signalbox.auth.terminal import Json, Opener, run
from signalbox.core.errors import SignalboxError
from signalbox.grid.bulk import Outcome, import_file
from signalbox.grid.component_commands import add_readings, build_components
from signalbox.grid.component_files import import_all, parse_rows, read_all, to_csv
from signalbox.grid.errors import BadFileError
from signalbox.grid.plan_commands import build_rules, build_schedules
from signalbox.grid.reading_files import count_rows
from signalbox.grid.report_commands import build_reports
from signalbox.grid.schemas import ImportedRow
from signalbox.grid.settings import GridSettings
from signalbox.infra.context import Context


class RejectedRowsError(SignalboxError):
    """Rows of a file were not taken; all others were."""

    code = "rejected_rows"


def build_commands(open_context: Opener, settings: Callable[[], GridSettings]) -> typer.Typer:
    """The command group ``grid``; expected failures are raised as SignalboxError. ``settings`` reads those in force."""
    group = typer.Typer(no_args_is_help=True, help="A power grid: components, measurements, rules and reports.")
    imports = typer.Typer(no_args_is_help=True, help="Bring files in, also beside a running server.")
    exports = typer.Typer(no_args_is_help=True, help="Write what is there.")
    _add_components(imports, exports, open_context)
    _add_measurements(imports, open_context)
    group.add_typer(imports, name="import")
    group.add_typer(exports, name="export")
    group.add_typer(build_components(open_context), name="components")
    add_readings(group, open_context)
    group.add_typer(build_reports(open_context), name="reports")
    group.add_typer(build_schedules(open_context, settings), name="schedules")
    group.add_typer(build_rules(open_context, settings), name="rules")
    return group


def _add_components(imports: typer.Typer, exports: typer.Typer, open_context: Opener) -> None:
    @imports.command("components")
    def import_components(
        file: Annotated[Path, typer.Argument(help="CSV with a line of names, or a JSON array.", metavar="FILE")],
        *,
        as_json: Json = False,
    ) -> None:
        """Add components or bring them up to date. Ends with exit code 1 where rows are rejected."""
        rows = parse_rows(_read(file), is_csv=file.suffix.lower() == ".csv")

        async def work(context: Context) -> list[ImportedRow]:
            return await import_all(context, rows, by=terminal.actor())

        results = run(open_context, work)
        if as_json:
            terminal.print_json(msgspec.to_builtins(results))
        counts = {word: sum(each.status == word for each in results) for word in ("created", "updated", "unchanged")}
        terminal.say(", ".join(f"{count} {word}" for word, count in counts.items()) + ".")
        wrong = [each for each in results if each.status == "rejected"]
        for each in wrong[:20]:
            terminal.say(f"row {each.row}: {each.reason}")
        if wrong:
            msg = f"{len(wrong)} of {len(results)} rows were rejected"
            raise RejectedRowsError(msg)

    @exports.command("components")
    def export_components(
        *, kind: Annotated[Literal["csv", "json"], typer.Option("--format", help="How to write them.")] = "csv"
    ) -> None:
        """Print all components as an import takes them."""

        async def work(context: Context) -> None:
            rows = await read_all(context.db)
            if kind == "json":
                terminal.print_json(rows)
            else:
                typer.echo(to_csv(rows), nl=False)

        run(open_context, work)


def _add_measurements(imports: typer.Typer, open_context: Opener) -> None:
    @imports.command("measurements")
    def import_measurements(
        files: Annotated[list[Path], typer.Argument(help="Files: .csv, .ndjson, .parquet.", metavar="FILE...")],
        *,
        rejects: Annotated[
            Path | None, typer.Option(help="Write rows that are not taken there, as CSV.", show_default=False)
        ] = None,
        rules: Annotated[bool, typer.Option("--rules", help="Hold threshold rules against them, too.")] = False,
        as_json: Json = False,
    ) -> None:
        """Add readings. What is there already is counted, so a file may be brought in again after a crash.

        Columns: component_id, timestamp (with a zone), value, measurement_type. Ends with exit code 1 where rows are
        rejected; all others are taken.
        """

        async def work(context: Context) -> Outcome:
            with _writing(rejects) as target, _bar() as bar:
                return await _import_all(context, files, target, bar, rules=rules)

        total = run(open_context, work)
        if as_json:
            terminal.print_json(vars(total))
        terminal.say(f"{total.inserted:,} inserted, {total.duplicates:,} there already, {total.rejected:,} rejected.")
        if total.rejected:
            where = "name a file with --rejects to see them" if rejects is None else f"they are in {rejects}"
            msg = f"{total.rejected} of {total.rows} rows were rejected; {where}"
            raise RejectedRowsError(msg)


async def _import_all(
    context: Context, files: list[Path], rejects: TextIO | None, bar: Progress, *, rules: bool
) -> Outcome:
    total = Outcome()
    for file in files:
        line = bar.add_task(file.name, total=count_rows(file), speed="")

        def tell(outcome: Outcome, line: TaskID = line) -> None:
            bar.update(line, completed=outcome.rows, speed=_speed(bar, line, outcome.rows))

        watched_at = context.clock.now() if rules else None
        outcome = await import_file(context.db, file, rejects=rejects, watched_at=watched_at, told=tell)
        bar.update(line, total=outcome.rows, completed=outcome.rows)
        for name, count in vars(outcome).items():
            setattr(total, name, getattr(total, name) + count)
    return total


def _speed(bar: Progress, line: TaskID, rows: int) -> str:
    elapsed = bar.tasks[line].elapsed
    return f"{rows / elapsed:,.0f} rows/s" if elapsed else ""


def _bar() -> Progress:
    """On stderr, and only where a person sees it."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
    return Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal)


@contextlib.contextmanager
def _writing(path: Path | None) -> Iterator[TextIO | None]:
    """The file for rejected rows, with its line of names."""
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as file:
        file.write("file,row,reason\n")
        yield file


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}"
        raise BadFileError(msg) from error
