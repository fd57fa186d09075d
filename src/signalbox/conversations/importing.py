"""Imports a data set as a new version, in small transactions; one more makes it the version that readers see.

Until then nothing of it is seen, and what a killed import leaves behind is swept. The words of texts, which take as long as
all the rest, are taken up after that.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Table

from signalbox.conversations import arrays, models, store, words
from signalbox.conversations.dataset import Dataset
from signalbox.conversations.errors import ImportNotFoundError, MissingExtraError
from signalbox.conversations.models import StoredImport
from signalbox.conversations.pacing import BESIDE, Pace, Turns
from signalbox.conversations.schemas import summarize
from signalbox.conversations.vectors import Bools
from signalbox.infra.context import Context
from signalbox.infra.events import Event, publish

if TYPE_CHECKING:
    from signalbox.conversations.drafting import Draft
    from signalbox.conversations.packing import Packed

CHANNEL: Final = "conversations"
"""Where processes are told that another version is live."""

ROWS: Final = (100, 8_192)
"""Rows of names that one transaction takes, at least and at most."""
SAID: Final = (512, 16_384)
"""The same of rows whose words are taken up."""
BYTES: Final = (64 * 1024, 8 * 1024**2)
"""The same of blocks."""
PAGES: Final = 64
"""Pages of words that one transaction merges."""
MERGE_EVERY: Final = 128
"""Transactions after which an importer merges their words; SQLite does so by itself, all at once, after 2,000."""

Tell = Callable[[StoredImport], None]
"""Hears how far an import is."""


class Importer:
    """One import, whose row is there already."""

    def __init__(self, context: Context, number: int, *, tell: Tell = lambda _: None) -> None:
        self._context, self._number, self._tell = context, number, tell
        self._now = context.clock.now

    async def run(self, dataset: Dataset) -> StoredImport:
        """Import and make live; the import as it stands then. The same files as those that are live change nothing.

        Raises:
            InvalidDatasetError: it is no data set, or a part cannot be read.
            MissingExtraError: PyArrow is not installed.
            ImportEndedError: somebody gave it up meanwhile.
        """
        draft = _load_draft()
        await self._clear()
        fingerprint = await asyncio.to_thread(dataset.fingerprint)
        if await self._write(_is_known, self._number, fingerprint, now=self._now()):
            return await self._told()
        found = await asyncio.to_thread(draft, dataset)
        await self._change(rows_total=found.rows, fingerprint=fingerprint)
        await self._add_index(found, await asyncio.to_thread(arrays.sort, found.drafts))
        rows, taken, report = found.rows, found.taken, json.dumps(found.report)
        del found  # most of the memory that an import takes
        await self._add_blocks(dataset, taken)
        await self._write(_go_live, self._number, report, rows, self._context, now=self._now())
        return await self._told()

    async def take_up_words(self) -> None:
        """Make the words of what is live findable, to the end.

        They are read while others may have the lock. What is left in many pieces in the end is merged by upkeep.
        """
        pace, turns, steps = Pace(SAID), Turns(), 0
        while (of := await self._context.db.read(store.next_unread)) is not None:
            count = min(pace.amount, of.rows_total - of.texts_done)
            begun = self._context.clock.monotonic()
            said = await self._context.db.read(store.read_words, of.id, first=of.texts_done, count=count)
            left = self._context.clock.monotonic() - begun
            held = await self._hold(turns, left, _add_words, of, said, count, now=self._now())
            pace.adjust(count, held, goal=turns.goal(now=self._context.clock.monotonic()))
            await self._told()
            steps += 1
            if steps % MERGE_EVERY == 0:
                await self.merge_words()

    async def merge_words(self) -> None:
        """Bring words that were taken up in many transactions together; what others write comes in between."""
        merging = True
        while merging:
            merging = await self._write(words.merge, PAGES)
            await asyncio.sleep(BESIDE)

    async def _hold(self, turns: Turns, left: float, fn: Callable[..., int], *args: Any, **more: Any) -> float:
        """Write something; the seconds that took. Beside others the lock is then left as long, less ``left`` before."""
        begun = self._context.clock.monotonic()
        commits = await self._write(fn, *args, **more)
        ended = self._context.clock.monotonic()
        turns.look(commits, now=ended)
        await asyncio.sleep(turns.pause(held=ended - begun, left=left, now=ended))
        return ended - begun

    async def _clear(self) -> None:
        """Delete what an earlier attempt has left."""
        while True:
            of = await self._told()
            if not await self._write(store.sweep_import, of, limit=ROWS[1] // 4, keep_upload=True):
                break
        await self._change(state="loading", error=None, rows_done=0, texts_done=0)

    async def _add_index(self, found: "Draft", made: arrays.Sorted) -> None:
        """Everything but texts."""
        named, tags, scripts = found.companies, found.tags, found.transcripts
        companies = [(named.names[at], named.more[at]) for at in made.companies]
        transcripts = [(scripts.titles[at], scripts.lengths[at], scripts.dates[at]) for at in made.transcripts]
        await self._add_named(models.company, ("name", "logo"), companies)
        await self._add_named(models.tag, ("name",), [(name,) for name in tags.names])
        await self._add_named(models.transcript, ("title", "length", "published"), transcripts)
        for name, data in arrays.to_bytes(made.arrays):
            for piece in range(max(1, -(-len(data) // store.PIECE))):
                part = data[piece * store.PIECE : (piece + 1) * store.PIECE]
                await self._write(store.add_piece, self._number, name, piece, part)

    async def _add_named(self, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        first, pace = 0, Pace(ROWS)
        while first < len(rows):
            some = rows[first : first + pace.amount]
            ranked = [(self._number, rank, *row) for rank, row in enumerate(some, first)]
            await self._timed(pace, len(some), store.add_named, table, columns, ranked)
            first += len(some)

    async def _add_blocks(self, dataset: Dataset, taken: Bools) -> None:
        from signalbox.conversations.packing import pack  # noqa: PLC0415 - needs PyArrow, an extra, slow to import

        pieces, pace = pack(dataset, taken), Pace(BYTES)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            for some in slices(piece, pace.amount):
                size = sum(len(each.data) for each in some)
                await self._timed(pace, size, _add_blocks, self._number, some, now=self._now())
            await self._told()

    async def _timed(self, pace: Pace, amount: int, fn: Callable[..., Any], *args: Any, **more: Any) -> Any:
        began = self._context.clock.monotonic()
        found = await self._write(fn, *args, **more)
        pace.adjust(amount, self._context.clock.monotonic() - began)
        return found

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
    """Write down that an import will not come to its end, unless it has; what it brought is swept."""
    if not store.end_import(tx, number, error=reason, now=now):
        return
    publish(tx, Event("conversations.import_failed", {"import": number, "reason": reason}, "error"), now=now)


def take_up_some(tx: Connection, now: int, limit: int) -> int:
    """Make the words of some more items of the live import findable; how many, 0 once all are."""
    of = store.next_unread(tx, locked=True)
    if of is None:
        return 0
    count = min(limit, of.rows_total - of.texts_done)
    words.take_up(tx, store.read_words(tx, of.id, first=of.texts_done, count=count))
    store.change_import(tx, of.id, texts_done=of.texts_done + count, now=now)
    return count


def tidy_words(tx: Connection, now: int, limit: int) -> int:
    """What importers leave of words, in steps: those that one did not come to, and merges. How much, 0 once all is done."""
    count = take_up_some(tx, now, limit)
    merged = words.merge(tx, PAGES)
    return count or int(merged)


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


def _add_blocks(tx: Connection, number: int, blocks: "Sequence[Packed]", *, now: int) -> None:
    store.add_blocks(tx, number, [(each.first, each.data) for each in blocks])
    store.change_import(tx, number, rows_done=blocks[-1].first + blocks[-1].rows, now=now)


def _add_words(tx: Connection, of: StoredImport, said: words.Words, count: int, *, now: int) -> int:
    """Make words of so many items findable that were read before, unless others were quicker; what others committed."""
    found = store.next_unread(tx, locked=True)
    if found is not None and (found.id, found.texts_done) == (of.id, of.texts_done):
        words.take_up(tx, said)
        store.change_import(tx, of.id, texts_done=of.texts_done + count, now=now)
    return store.commits_of_others(tx)


def _go_live(tx: Connection, number: int, report: str, rows: int, context: Context, *, now: int) -> None:
    store.change_import(tx, number, report=report, rows_done=rows, now=now)
    store.make_live(tx, number, now=now)
    data = {"import": number, **summarize(json.loads(report))}
    publish(tx, Event("conversations.imported", data), now=now)
    context.broadcast.publish(tx, CHANNEL, str(number))


def slices(blocks: "Sequence[Packed]", most: int) -> "Iterator[list[Packed]]":
    """Blocks of about so many bytes together, one at least."""
    some: list[Packed] = []
    size = 0
    for each in blocks:
        if some and size + len(each.data) > most:
            yield some
            some, size = [], 0
        some.append(each)
        size += len(each.data)
    if some:
        yield some
