"""Background work of conversations: importing what was uploaded."""

import asyncio
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, Final, Self

from sqlalchemy import Connection

from signalbox.conversations import importing, store
from signalbox.conversations.dataset import open_dataset
from signalbox.conversations.errors import InvalidDatasetError
from signalbox.conversations.importing import Importer
from signalbox.conversations.settings import ConversationSettings
from signalbox.infra import jobs
from signalbox.infra.context import Context
from signalbox.infra.jobs import Done, Fail, Job, Kind, Outcome

IMPORT: Final = "conversations.import"
ATTEMPTS: Final = 3
PIECES: Final = 8
"""Pieces of an upload that one transaction deletes."""


def enqueue(tx: Connection, number: int, *, now: int) -> None:
    """Have an import done whose upload is complete."""
    store.change_import(tx, number, state="queued", now=now)
    jobs.enqueue(tx, IMPORT, {"import": number}, now=now, max_attempts=ATTEMPTS)


def build_kinds(context: Context, settings: ConversationSettings) -> dict[str, Kind]:
    """The jobs, by kind."""

    async def run(job: Job) -> Outcome:
        return await _import(context, settings, int(job.payload["import"]))

    return {IMPORT: Kind(run, concurrency=1)}


async def _import(context: Context, settings: ConversationSettings, number: int) -> Outcome:
    importer = Importer(context, number)
    with NamedTemporaryFile(prefix="signalbox-upload-") as file:
        await _unload(context, number, file)
        try:
            with await asyncio.to_thread(
                _Opened, Path(file.name), await _is_forced(context, number), settings
            ) as found:
                await importer.run(found.dataset)
        except InvalidDatasetError as error:
            reason = str(error)

            def give_up(tx: Connection) -> None:
                importing.fail(tx, number, reason, now=context.clock.now())

            return Fail(reason, then=give_up)
    while await context.db.write(store.delete_upload, number, limit=PIECES):
        pass
    await importer.take_up_words()
    return Done()


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


async def _is_forced(context: Context, number: int) -> bool:
    found: Any = await context.db.read(store.find_import, number)
    return found is not None and found.forced
