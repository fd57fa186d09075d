"""Data sets in Spark's layout, imports of them, and a hub to ask."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import uvloop

from signalbox.conversations import store
from signalbox.conversations.dataset import open_dataset
from signalbox.conversations.importing import Importer
from signalbox.conversations.models import StoredImport
from signalbox.infra.context import Context
from signalbox.sandbox.interviews import Made, schemas, write_dataset, write_folder
from tests.support.databases import Place
from tests.support.hub import Answer, RunningHub, running_hub, settings_at
from tests.support.timing import PATIENCE

PATH = "/api/conversations"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of production."""
    return {"uvloop": uvloop.new_event_loop}


def transcript(number: int, kind: str, title: str, day: str | None = "2024-01-01", **more: Any) -> dict[str, Any]:
    row = {"id_transcript": number, "title": title, "transcript_type": kind, "length": 9, "publish_date": day}
    return {**row, **more}


def talk(number: int, sequence: float, tag: int | None = None, text: str = "", **more: Any) -> dict[str, Any]:
    row = {"id_conversation": number, "sequence_conversation": sequence, "id_tag": tag}
    return {**row, "question": f"Question {number}?", "answer": text or f"Answer {number}.", **more}


def speech(number: int, sequence: float, tag: int | None = None, speaker: str = "Ada", **more: Any) -> dict[str, Any]:
    row = {"id_monologue": number, "sequence_monologue": sequence, "id_tag": tag}
    return {**row, "speaker": speaker, "content": f"Speech {number}.", **more}


def made() -> Made:
    """Two companies: Microsoft has two interviews and a monologue, Zebra one of each."""
    return Made(
        company=[
            {"id_company": 7, "company_name": "Zebra", "logo": "zebra.png"},
            {"id_company": 3, "company_name": "Microsoft", "logo": None},
        ],
        tag=[
            {"id_tag": 1, "tag_value": "Competition"},
            {"id_tag": 2, "tag_value": "orientation"},
            {"id_tag": 3, "tag_value": "unused"},
        ],
        transcript=[
            transcript(30, "conversation", "Interview", "2024-05-01"),
            transcript(31, "monologue", "Zebra speaks"),
            transcript(10, "conversation", "Interview", "2024-03-01"),
            transcript(11, "conversation", "Interview", "2023-03-01"),
            transcript(12, "monologue", "MICROSOFT: a talk", None),
        ],
        conversation=[
            talk(1, 1, 1, "zebras compete"),
            talk(2, 2),
            talk(3, 1, 1, "Rivals are many"),
            talk(4, 2, 2),
            talk(5, 1, 2, 'Robert\'); DROP TABLE students;-- \U0001f600 "quoted"'),
            talk(6, 2, 1),
            talk(6, 2, 2),
            talk(7, 3, None),
        ],
        monologue=[speech(1, 1, 1, "Ben"), speech(2, 1, 2), speech(3, 2, None, "Cora")],
    )


IDS = {"microsoft": [5, 6, 7, 3, 4], "zebra": [1, 2]}
"""In the order of answers: publish date, then sequence."""


def write(folder: Path, rows: Made | None = None, *, parts: int = 2) -> Path:
    """A new data set in a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    write_dataset(folder, rows or made(), parts=parts)
    return folder


def write_explicit(folder: Path, rows: Made, *names: str) -> Path:
    """A data set some of whose folders have columns for companies and transcripts."""
    write(folder, rows)
    for name in names:
        for path in (folder / name).glob("part*"):
            path.unlink()
        kinds = {**schemas()[name], "id_company": pa.int64(), "id_transcript": pa.int64()}
        write_folder(folder / name, getattr(rows, name), kinds)
    return folder


async def import_folder(context: Context, folder: Path, *, forced: bool = False, words: bool = True) -> StoredImport:
    """Import a folder to its end."""
    now = context.clock.now()
    number = await context.db.write(
        store.add_import, source=folder.name, actor="test", forced=forced, state="loading", now=now
    )
    importer = Importer(context, number)
    with open_dataset(folder, forced=forced) as dataset:
        found = await importer.run(dataset)
    if words:
        await importer.take_up_words()
    return found


class Desk:
    """A hub, and somebody who may ask it."""

    def __init__(self, hub: RunningHub, token: str) -> None:
        self.hub, self.token = hub, token

    async def call(self, path: str, *, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        """A request; names of headers are spelt with ``_`` for ``-``."""
        fields = [(b"Token", self.token.encode())]
        fields += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return await self.hub.ask(path.encode(), method=method.encode(), headers=fields, body=body)

    async def get(self, path: str = PATH) -> Any:
        """What a GET answers, which must succeed."""
        answer = await self.call(path)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    async def ids(self, query: str = "") -> list[int]:
        """What a search finds."""
        found: list[int] = (await self.get(f"{PATH}?{query}"))["conversation_ids"]
        return found

    async def load(self, folder: Path) -> StoredImport:
        """Import a folder and wait until the hub has it."""
        done = await import_folder(self.hub.hub.context, folder)
        await self.until_version(done.id)
        return done

    async def until_version(self, number: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while (await self.get(f"{PATH}/statistics"))["version"] != number:
                await asyncio.sleep(0.02)


@pytest.fixture
async def empty_desk(place: Place) -> AsyncIterator[Desk]:
    """On each database, without data."""
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(running_hub(settings_at(place)))
        yield Desk(hub, (await hub.token("manager")).text)


@pytest.fixture
async def desk(empty_desk: Desk, tmp_path: Path) -> Desk:
    """With the data of ``made``."""
    await empty_desk.load(write(tmp_path / "data"))
    return empty_desk
