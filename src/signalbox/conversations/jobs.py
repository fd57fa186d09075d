"""Background work of conversations: importing what was uploaded."""

import asyncio
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Final, Self

from sqlalchemy import Connection

from signalbox.conversations import importing, store
from signalbox.conversations.dataset import open_dataset
from signalbox.conversations.errors import InvalidDatasetError, MissingExtraError
from signalbox.conversations.importing import Importer
from signalbox.conversations.models import StoredImport
from signalbox.conversations.settings import ConversationSettings
from signalbox.infra import jobs
from signalbox.infra.context import Context
from signalbox.infra.events import StoredEvent, Subscriber
from signalbox.infra.jobs import Done, Fail, Job, Kind, Outcome

IMPORT: Final = "conversations.import"
ATTEMPTS: Final = 3
_UNDONE: Final = frozenset({"queued", "loading", "failed"})
PIECES: Final = 8
"""Pieces of an upload that one transaction deletes."""


def enqueue(tx: Connection, number: int, *, now: int) -> None:
    """Have an import done whose upload is complete.

    Raises:
        ImportEndedError: it was given up meanwhile.
    """
    store.change_loading(tx, number, state="queued", now=now)
    jobs.enqueue(tx, IMPORT, {"import": number}, now=now, key=_key(number), max_attempts=ATTEMPTS)


def is_under_way(tx: Connection, number: int) -> bool:
    """Whether an import has a job that waits or runs."""
    return jobs.is_live(tx, IMPORT, _key(number))


def _key(number: int) -> str:
    return f"import/{number}"


def build_follower() -> Subscriber:
    """Who gives imports up whose jobs ended without them."""
    return Subscriber("conversations.imports", [jobs.DEAD, jobs.CANCELLED], follow_job)


def follow_job(tx: Connection, event: StoredEvent, now: int) -> None:
    """Give an import up whose job has died, or was cancelled; its upload is swept."""
    key = event.data["key"]
    if event.data["kind"] == IMPORT and key and not jobs.is_live(tx, IMPORT, key):
        importing.fail(tx, int(key.partition("/")[2]), str(event.data["error"]), now=now)


def build_kinds(context: Context, settings: ConversationSettings) -> dict[str, Kind]:
    """The jobs, by kind."""

    async def run(job: Job) -> Outcome:
        return await _import(context, settings, int(job.payload["import"]))

    return {IMPORT: Kind(run, concurrency=1)}


async def _import(context: Context, settings: ConversationSettings, number: int) -> Outcome:
    of = await context.db.read(store.find_import, number)
    if of is None or of.swept:
        return Fail("its upload was deleted; upload it again")
    importer = Importer(context, number)
    if of.state in _UNDONE:  # else an earlier attempt came as far as that
        try:
            await _load(context, settings, importer, of)
        except (InvalidDatasetError, MissingExtraError) as error:
            reason = str(error)
            return Fail(reason, then=lambda tx: importing.fail(tx, number, reason, now=context.clock.now()))
    while await context.db.write(store.delete_upload, number, limit=PIECES):
        pass
    await importer.take_up_words()
    return Done()


async def _load(context: Context, settings: ConversationSettings, importer: Importer, of: StoredImport) -> None:
    """Import what was uploaded, and make it live."""
    with NamedTemporaryFile(prefix="signalbox-upload-") as file:
        await _unload(context, of.id, file)
        with await asyncio.to_thread(_Opened, Path(file.name), of.forced, settings) as found:
            await importer.run(found.dataset)


class _Opened:
    """A data set that is opened in one thread and closed in another."""

    def __init__(self, path: Path, forced: bool, settings: ConversationSettings) -> None:  # noqa: FBT001 - for to_thread
        self._manager = open_dataset(path, forced=forced, max_unpacked=settings.max_unpacked)
        self.dataset = self._manager.__enter__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._manager.__exit__(None, None, None)


async def _unload(context: Context, number: int, file: IO[bytes]) -> None:
    """Write the pieces of an upload to a file."""
    piece = 0
    while (data := await context.db.read(store.read_upload, number, piece)) is not None:
        await asyncio.to_thread(file.write, data)
        piece += 1
    file.flush()
