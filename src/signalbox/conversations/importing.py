"""Imports a data set as a new version, in small transactions; one more makes it the version that readers see.

Until then nothing of it is seen, and what a killed import leaves behind is swept. The words of texts, which take longer
than all the rest, are taken up after that.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Table

from signalbox.conversations import arrays, models, store
from signalbox.conversations.dataset import Dataset
from signalbox.conversations.errors import ImportNotFoundError, MissingExtraError
from signalbox.conversations.models import StoredImport, item_id
from signalbox.conversations.schemas import KINDS, summarize
from signalbox.infra.context import Context
from signalbox.infra.events import Event, publish

if TYPE_CHECKING:
    from signalbox.conversations.drafting import Draft

CHANNEL: Final = "conversations"
"""Where processes are told that another version is live."""

GOAL: Final = 0.04
"""Seconds that one transaction should take: others wait for it on SQLite."""
FEWEST: Final = 100
MOST: Final = 10_000

Tell = Callable[[StoredImport], None]
"""Hears how far an import is."""


class Pace:
    """How many rows one transaction takes, so that it takes about ``GOAL`` seconds."""

    def __init__(self, rows: int = 1_000) -> None:
        self.rows = rows

    def adjust(self, seconds: float) -> None:
        """Take into account how long so many rows took."""
        wanted = int(self.rows * GOAL / max(seconds, 0.001))
        self.rows = max(FEWEST, min(MOST, wanted, self.rows * 2))


class Importer:
    """One import, whose row is there already."""

    def __init__(self, context: Context, number: int, *, tell: Tell = lambda _: None) -> None:
        self._context, self._number, self._tell = context, number, tell
        self._now = context.clock.now
        self._pace, self._done = Pace(), 0

    async def run(self, dataset: Dataset) -> StoredImport:
        """Import and make live; the import as it stands then. The same files as those that are live change nothing.

        Raises:
            InvalidDatasetError: it is no data set, or a part cannot be read.
            MissingExtraError: PyArrow is not installed.
        """
        draft = _load_draft()
        await self._clear()
        fingerprint = await asyncio.to_thread(dataset.fingerprint)
        if await self._write(_is_known, self._number, fingerprint, now=self._now()):
            return await self._told()
        found = await asyncio.to_thread(draft, dataset)
        await self._change(rows_total=found.rows, fingerprint=fingerprint)
        made = await asyncio.to_thread(arrays.sort, found.drafts)
        await self._add_index(found, made)
        await self._add_items(dataset, found)
        report = json.dumps(found.report)
        await self._write(_go_live, self._number, report, found.rows, self._context, now=self._now())
        return await self._told()

    async def take_up_words(self) -> None:
        """Make the words of what is live findable, to the end."""
        pace = Pace()
        while True:
            began = self._context.clock.monotonic()
            if not await self._write(take_up_some, self._now(), pace.rows):
                return
            pace.adjust(self._context.clock.monotonic() - began)
            await self._told()

    async def _clear(self) -> None:
        """Delete what an earlier attempt has left."""
        while True:
            of = await self._told()
            if not await self._write(store.sweep_import, of, limit=MOST // 4, keep_upload=True):
                break
        await self._change(state="loading", rows_done=0, texts_done=0)

    async def _add_index(self, found: "Draft", made: arrays.Sorted) -> None:
        """Everything but texts."""
        named, tags, scripts = found.companies, found.tags, found.transcripts
        companies = [(named.names[at], named.more[at]) for at in made.companies]
        transcripts = [(scripts.titles[at], scripts.lengths[at], scripts.dates[at]) for at in made.transcripts]
        await self._add_named(models.company, ("name", "logo"), companies)
        await self._add_named(models.tag, ("name",), [(name,) for name in tags.names])
        await self._add_named(models.transcript, ("title", "length", "published"), transcripts)
        for name, data in arrays.to_bytes(made.arrays).items():
            for piece in range(max(1, -(-len(data) // store.PIECE))):
                part = data[piece * store.PIECE : (piece + 1) * store.PIECE]
                await self._write(store.add_piece, self._number, name, piece, part)

    async def _add_named(self, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        first = 0
        while first < len(rows):
            some = rows[first : first + self._pace.rows]
            ranked = [(self._number, rank, *row) for rank, row in enumerate(some, first)]
            await self._timed(store.add_named, table, columns, ranked)
            first += len(some)

    async def _add_items(self, dataset: Dataset, found: "Draft") -> None:
        batches = _batches(dataset, found, self._number, self._pace)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            rows, self._done = batch
            await self._timed(_add_items, self._number, rows, self._done, now=self._now())
            await self._told()

    async def _timed(self, fn: Callable[..., Any], *args: Any, **more: Any) -> None:
        began = self._context.clock.monotonic()
        await self._write(fn, *args, **more)
        self._pace.adjust(self._context.clock.monotonic() - began)

    async def _write(self, fn: Callable[..., Any], *args: Any, **more: Any) -> Any:
        return await self._context.db.write(fn, *args, **more)

    async def _change(self, **values: Any) -> None:
        await self._write(store.change_import, self._number, now=self._now(), **values)

    async def _told(self) -> StoredImport:
        found = await self._context.db.read(store.find_import, self._number)
        if found is None:
            raise ImportNotFoundError(self._number)
        self._tell(found)
        return found


def fail(tx: Connection, number: int, reason: str, *, now: int) -> None:
    """Write down that an import will not come to its end; what it brought is swept."""
    store.change_import(tx, number, state="failed", error=reason, now=now)
    publish(tx, Event("conversations.import_failed", {"import": number, "reason": reason}, "error"), now=now)


def take_up_some(tx: Connection, now: int, limit: int) -> int:
    """Make the words of some more items of the live import findable; how many, 0 once all are."""
    of = store.next_unread(tx)
    if of is None:
        return 0
    count = min(limit, of.rows_total - of.texts_done)
    store.take_up_words(tx, of.id, first=of.texts_done, count=count)
    store.change_import(tx, of.id, texts_done=of.texts_done + count, now=now)
    return count


def _load_draft() -> "Callable[[Dataset], Draft]":
    try:
        from signalbox.conversations.drafting import draft  # noqa: PLC0415 - needs PyArrow, an extra, slow to import
    except ImportError:
        raise MissingExtraError from None
    return draft


def _is_known(tx: Connection, number: int, fingerprint: str, *, now: int) -> bool:
    """Whether the same files are live already; the import then ends as unchanged."""
    live = store.find_import(tx, store.current_import(tx))
    if live is None or live.fingerprint != fingerprint:
        return False
    store.change_import(tx, number, state="unchanged", fingerprint=fingerprint, report=live.report, now=now)
    return True


def _add_items(tx: Connection, number: int, rows: Sequence[Sequence[Any]], done: int, *, now: int) -> None:
    store.add_items(tx, rows)
    store.change_import(tx, number, rows_done=done, now=now)


def _go_live(tx: Connection, number: int, report: str, rows: int, context: Context, *, now: int) -> None:
    store.change_import(tx, number, report=report, rows_done=rows, now=now)
    store.make_live(tx, number, now=now)
    data = {"import": number, **summarize(json.loads(report))}
    publish(tx, Event("conversations.imported", data), now=now)
    context.broadcast.publish(tx, CHANNEL, str(number))


_COLUMNS: Final = {
    "conversation": ("sequence_conversation", "question", "answer", None, None),
    "monologue": ("sequence_monologue", None, None, "speaker", "content"),
}


def _batches(dataset: Dataset, found: "Draft", number: int, pace: Pace) -> Iterator[tuple[list[tuple[Any, ...]], int]]:
    """Rows of items, and how many rows of files have been read with them."""
    from signalbox.conversations.parts import read_batches  # noqa: PLC0415 - as above

    done = 0
    for kind in KINDS:
        columns = _COLUMNS[kind]
        for part in dataset.parts[kind]:
            for table in read_batches(part, [name for name in columns if name], rows=MOST):
                sequences = table.floats(columns[0]).tolist()
                texts = [repeat(None) if name is None else table.texts(name) for name in columns[1:]]
                ids = range(item_id(number, done), item_id(number, done + table.rows))
                taken = found.taken[done : done + table.rows].tolist()
                rows = [
                    row
                    for row, is_taken in zip(zip(ids, _known(sequences), *texts, strict=False), taken, strict=True)
                    if is_taken
                ]
                for first, some in _slices(rows, pace):
                    yield some, done + min(first + len(some), table.rows)
                done += table.rows


def _known(values: list[float]) -> list[float | None]:
    """NaN stands for nothing."""
    return [value if value == value else None for value in values]  # noqa: PLR0124 - which NaN is not


def _slices(rows: list[tuple[Any, ...]], pace: Pace) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    first = 0
    while first < len(rows):
        some = rows[first : first + pace.rows]
        yield first, some
        first += len(some)
