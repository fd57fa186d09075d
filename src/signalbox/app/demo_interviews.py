"""Interviews for the demo: made, imported beside all else, and a few words on how far that is."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from signalbox.conversations import store
from signalbox.conversations.dataset import open_dataset
from signalbox.conversations.errors import MissingExtraError
from signalbox.conversations.importing import Importer
from signalbox.conversations.models import StoredImport
from signalbox.infra.context import Context
from signalbox.sandbox.interviews import Size, make_dataset

ROWS: Final = 20_000

Tell = Callable[[str], None]


async def load_interviews(context: Context, tell: Tell, *, rows: int = ROWS) -> None:
    """Import a made-up data set; without PyArrow, say that there is none."""
    with tempfile.TemporaryDirectory(prefix="signalbox-interviews-") as place:
        folder = Path(place) / "interviews"
        try:
            await asyncio.to_thread(make_dataset, folder, Size(rows))
            await _import(context, folder, tell)
        except (ImportError, MissingExtraError):
            tell("no interviews: they need the extra data")


async def _import(context: Context, folder: Path, tell: Tell) -> None:
    number = await context.db.write(
        store.add_import, source="demo", actor="demo", forced=False, state="loading", now=context.clock.now()
    )
    importer = Importer(context, number, tell=lambda of: tell(_how_far(of)))
    with open_dataset(folder) as dataset:
        await importer.run(dataset)
    await importer.take_up_words()


def _how_far(of: StoredImport) -> str:
    if of.state != "live":
        return f"interviews: {of.rows_done:,} of {of.rows_total:,} rows imported"
    if of.texts_done < of.rows_total:
        return f"interviews: words of {of.texts_done:,} of {of.rows_total:,} rows can be searched for"
    return f"{of.rows_total:,} rows of interviews"
