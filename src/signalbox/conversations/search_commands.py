"""``signalbox conversations search``, ``show`` and ``export``: what the live data set says."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO, Literal
from urllib.parse import urlencode

import msgspec
import typer
from sqlalchemy import Connection

from signalbox.auth import terminal
from signalbox.auth.terminal import Json, Listing, Opener, run
from signalbox.conversations import answers
from signalbox.conversations.exports import BATCH, FORMATS, Writer
from signalbox.conversations.filters import (
    DEFAULT_PER_PAGE,
    LARGEST,
    MAX_PER_PAGE,
    NAMES,
    Filter,
    parse_query,
    to_filter,
)
from signalbox.conversations.runtime import load
from signalbox.conversations.schemas import DetailPageOut, ItemOut, ThreadOut
from signalbox.conversations.searching import Searcher
from signalbox.conversations.vectors import Ints
from signalbox.infra.context import Context

Words = Annotated[str | None, typer.Argument(help="Words that must all occur.", show_default=False, metavar="WORDS")]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="NAME=VALUE",
        help=f"Such as company=Acme, repeatable: {', '.join(NAMES)}.",
        show_default=False,
    ),
]

_SHOWN = 70
"""Characters of a text in a table."""


def add_search_commands(group: typer.Typer, open_context: Opener) -> None:
    """Add the commands to their group."""
    _add_search(group, open_context)
    _add_show(group, open_context)
    _add_export(group, open_context)


def _add_search(group: typer.Typer, open_context: Opener) -> None:
    @group.command()
    def search(
        words: Words = None,
        *,
        filters: Filters = None,
        page: Annotated[int, typer.Option(min=1, max=10**6, help="From 1 on.")] = 1,
        limit: Annotated[int, typer.Option(min=1, max=MAX_PER_PAGE, help="How many are on a page.")] = DEFAULT_PER_PAGE,
        as_json: Json = False,
    ) -> None:
        """Find conversations in the data set that is live."""
        wanted = _wanted(words, filters)

        def find(tx: Connection) -> DetailPageOut:
            searcher = load(tx)
            found = answers.search(tx, searcher, wanted)
            return answers.detail_page(tx, searcher, found, number=page, size=limit)

        found = run(open_context, lambda context: context.db.read(find))
        if as_json:
            terminal.print_json(msgspec.to_builtins(found))
            return
        terminal.print_listing(_listing(found.conversations))
        terminal.say(f"page {page} of {max(1, -(-found.total // limit)):,}; {found.total:,} found")


def _add_show(group: typer.Typer, open_context: Opener) -> None:
    @group.command()
    def show(
        transcript: Annotated[
            int, typer.Argument(help="Id of a transcript.", min=-LARGEST, max=LARGEST, metavar="TRANSCRIPT")
        ],
        *,
        as_json: Json = False,
    ) -> None:
        """Show a transcript as a whole."""

        def find(tx: Connection) -> ThreadOut:
            return answers.thread(tx, load(tx), transcript)

        found = run(open_context, lambda context: context.db.read(find))
        if as_json:
            terminal.print_json(msgspec.to_builtins(found))
            return
        typer.echo(f"{found.transcript.title or transcript} ({found.transcript.company or 'no company'})")
        for item in found.items:
            said = (("Question", item.question), ("Answer", item.answer), (item.speaker or "Text", item.content))
            for who, text in said:
                if text is not None:
                    typer.echo(f"\n{who}: {text}")


def _add_export(group: typer.Typer, open_context: Opener) -> None:
    @group.command()
    def export(
        words: Words = None,
        *,
        filters: Filters = None,
        form: Annotated[Literal["csv", "ndjson", "parquet"], typer.Option("--format", help="How to write it.")] = "csv",
        file: Annotated[Path | None, typer.Option(help="Where to; stdout without.", show_default=False)] = None,
    ) -> None:
        """Write all that is found."""
        wanted, (make, _) = _wanted(words, filters), FORMATS[form]

        async def work(context: Context) -> int:
            searcher = await context.db.read(load)
            found = await context.db.read(answers.search, searcher, wanted)
            with ExitStack() as stack:
                target = sys.stdout.buffer if file is None else stack.enter_context(file.open("wb"))
                await _write_all(context, searcher, found, writer=make(), target=target)
            return len(found)

        terminal.say(f"{run(open_context, work):,} items are written")


async def _write_all(context: Context, searcher: Searcher, found: Ints, *, writer: Writer, target: BinaryIO) -> None:
    for first in range(0, len(found), BATCH):
        items = await context.db.read(answers.read_items, searcher, found[first : first + BATCH].tolist())
        target.write(writer.write(items))
    target.write(writer.end())


def _wanted(words: str | None, filters: list[str] | None) -> Filter:
    """The search, as the same parameters of a request would ask for it.

    Raises:
        InvalidQueryError: a filter is unknown, or its value is not of its form.
        InvalidPairError: a filter is not NAME=VALUE.
    """
    given = terminal.to_pairs(filters) | ({} if words is None else {"q": words})
    return to_filter(parse_query(urlencode(given).encode(), NAMES))


def _listing(found: list[ItemOut]) -> Listing:
    rows = [
        (str(each.id), str(each.transcript_id or ""), each.company or "", (each.published or "")[:10], _text(each))
        for each in found
    ]
    hint = "Nothing is found. See what is live: signalbox conversations imports"
    return Listing(["Id", "Transcript", "Company", "Published", "Text"], rows, hint)


def _text(of: ItemOut) -> str:
    text = " ".join((of.question or of.content or of.answer or "").split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
