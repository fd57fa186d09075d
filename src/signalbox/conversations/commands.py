"""Data sets on the command line. What a script wants goes to stdout, everything else to stderr."""

from pathlib import Path
from typing import Annotated, Self

import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from signalbox.auth import terminal
from signalbox.auth.terminal import Json, Opener, run
from signalbox.conversations import importing, service, store
from signalbox.conversations.dataset import open_dataset
from signalbox.conversations.importing import Importer
from signalbox.conversations.models import StoredImport
from signalbox.conversations.schemas import ImportOut, summarize
from signalbox.conversations.search_commands import add_search_commands
from signalbox.core.errors import SignalboxError
from signalbox.core.pagination import MAX_LIMIT
from signalbox.infra.context import Context


def build_commands(open_context: Opener) -> typer.Typer:
    """The command group ``conversations``; expected failures are raised as SignalboxError."""
    group = typer.Typer(no_args_is_help=True, help="Data sets of interview transcripts.")

    @group.command("import")
    def import_dataset(
        path: Annotated[Path, typer.Argument(help="A folder as Spark writes it, or a zip file.", show_default=False)],
        *,
        force: Annotated[bool, typer.Option(help="Take folders without _SUCCESS too.")] = False,
        as_json: Json = False,
    ) -> None:
        """Import a data set and wait until it is live."""
        done = run(open_context, lambda context: _import(context, path.resolve(), forced=force))
        if as_json:
            typer.echo(service.to_out(done).model_dump_json())
        else:
            _tell(done)

    @group.command("imports")
    def list_imports(
        *,
        limit: Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="How many at most.")] = 50,
        as_json: Json = False,
    ) -> None:
        """Imports, newest first."""
        page = run(open_context, lambda context: context.db.read(service.list_imports, cursor=None, limit=limit))
        if as_json:
            typer.echo(TypeAdapter(list[ImportOut]).dump_json(page.items).decode())
            return
        columns = ("id", "state", "created_at", "rows_total", "actor", "source", "error")
        table = Table(*columns, box=None, header_style="bold")
        for row in page.items:
            values = [getattr(row, name) for name in columns]
            table.add_row(*("" if value is None else str(value) for value in values))
        Console(highlight=False, soft_wrap=True).print(table)

    @group.command("report")
    def show_import(
        number: Annotated[int, typer.Argument(help="Number of the import.", min=1, max=2**31, metavar="ID")],
        *,
        as_json: Json = False,
    ) -> None:
        """Show what an import read, linked, left unlinked and rejected, for each file."""
        found = run(open_context, lambda context: context.db.read(service.show_import, number))
        if as_json:
            typer.echo(found.model_dump_json())
        else:
            _tell_report(found)

    add_search_commands(group, open_context)
    return group


async def _import(context: Context, path: Path, *, forced: bool) -> StoredImport:
    number = await context.db.write(
        store.add_import,
        source=path.name,
        actor=terminal.actor(),
        forced=forced,
        state="loading",
        now=context.clock.now(),
    )
    with _Bars() as bars:
        importer = Importer(context, number, tell=bars.tell)
        try:
            with open_dataset(path, forced=forced) as dataset:
                done = await importer.run(dataset)
        except SignalboxError as error:
            await context.db.write(importing.fail, number, str(error), now=context.clock.now())
            raise
        await importer.take_up_words()
        return done


class _Bars:
    """Shows how far an import is, on stderr."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._rows = self._progress.add_task("rows", total=None)
        self._words = self._progress.add_task("words", total=None, start=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def tell(self, of: StoredImport) -> None:
        """Show it."""
        total = of.rows_total or None
        self._progress.update(self._rows, total=total, completed=of.rows_done)
        if of.state == "live":
            self._progress.start_task(self._words)
            self._progress.update(self._words, total=total, completed=of.texts_done)


def _tell(done: StoredImport) -> None:
    if done.state == "unchanged":
        terminal.say("the same files are live already; nothing has changed")
        return
    _tell_report(service.to_out(done))


def _tell_report(of: ImportOut) -> None:
    report = of.report
    if report is None:
        terminal.say(f"import {of.id} is {of.state}: {of.error or 'it has no report yet'}")
        return
    sums = summarize(report)
    terminal.say(f"import {of.id} is {of.state}: " + ", ".join(f"{count:,} {name}" for name, count in sums.items()))
    for file in report["files"]:
        for reason, count in file["reasons"].items():
            terminal.say(f"{file['file']}: {count:,}: {reason}")
    for note in report["notes"]:
        terminal.say(note)
