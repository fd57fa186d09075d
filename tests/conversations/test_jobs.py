"""The job, also where it is run again."""

from pathlib import Path

import pytest

from signalbox.conversations import jobs, store
from signalbox.conversations.jobs import IMPORT, build_kinds, follow_job
from signalbox.conversations.models import StoredImport
from signalbox.conversations.settings import ConversationSettings
from signalbox.infra.context import Context
from signalbox.infra.events import StoredEvent
from signalbox.infra.jobs import Done, Fail, Job, cancel, find_jobs
from tests.conversations.conftest import write
from tests.conversations.test_dataset import pack


async def uploaded(context: Context, content: bytes) -> int:
    now = context.clock.now()
    number = await context.db.write(
        store.add_import, source="upload", actor="a", forced=False, state="loading", now=now
    )
    for piece in range(0, len(content), 1_000):
        await context.db.write(store.add_upload, number, piece // 1_000, content[piece : piece + 1_000])
    await context.db.write(jobs.enqueue, number, now=now)
    return number


async def shown(context: Context, number: int) -> StoredImport:
    found = await context.db.read(store.find_import, number)
    assert found is not None
    return found


def job(number: int) -> Job:
    return Job(1, IMPORT, {"import": number}, 1, 3, 1, 0, 0, 0, None, 0, 0, None)


async def test_it_can_be_run_again_until_it_is_done(context: Context, tmp_path: Path) -> None:
    run = build_kinds(context, ConversationSettings())[IMPORT].handle
    number = await uploaded(context, pack(write(tmp_path / "d"), tmp_path / "d.zip").read_bytes())

    def begin(tx: object) -> None:
        store.change_import(tx, number, state="loading", rows_done=3, now=1)  # type: ignore[arg-type]
        store.add_blocks(tx, number, [(0, b"left by an attempt")])  # type: ignore[arg-type]

    await context.db.write(begin)
    assert await run(job(number)) == Done()
    of = await context.db.read(store.find_import, number)
    assert of is not None
    assert (of.state, of.texts_done) == ("live", 11)


async def test_a_bad_file_is_dead_at_once(context: Context, tmp_path: Path) -> None:
    number = await uploaded(context, b"PK no zip file")
    outcome = await build_kinds(context, ConversationSettings())[IMPORT].handle(job(number))
    assert isinstance(outcome, Fail)
    assert outcome.then is not None
    await context.db.write(outcome.then)
    of = await context.db.read(store.find_import, number)
    assert of is not None
    assert (of.state, "neither a folder nor a zip file" in (of.error or "")) == ("failed", True)


async def test_what_is_live_stays_so_when_its_job_runs_again_without_the_upload(
    context: Context, tmp_path: Path
) -> None:
    run = build_kinds(context, ConversationSettings())[IMPORT].handle
    number = await uploaded(context, pack(write(tmp_path / "d"), tmp_path / "d.zip").read_bytes())
    assert await run(job(number)) == Done()
    assert await run(job(number)) == Done(), "as after a worker that died while it took up words"
    assert [(of.state, of.texts_done) for of in [await shown(context, number)]] == [("live", 11)]


async def test_what_was_swept_cannot_be_imported_any_more(context: Context) -> None:
    number = await uploaded(context, b"PK")
    await context.db.write(lambda tx: store.change_import(tx, number, state="failed", swept=True, now=1))
    outcome = await build_kinds(context, ConversationSettings())[IMPORT].handle(job(number))
    assert outcome == Fail("its upload was deleted; upload it again")


def ended(topic: str, kind: str, key: str | None) -> StoredEvent:
    return StoredEvent(1, topic, "info", None, {"kind": kind, "key": key, "error": "it ended"}, 1)


@pytest.mark.parametrize("topic", ["job.dead", "job.cancelled"])
async def test_an_import_whose_job_has_ended_has_failed(context: Context, topic: str) -> None:
    number = await uploaded(context, b"PK")
    now, (waiting,) = context.clock.now(), await context.db.read(find_jobs, limit=9)
    await context.db.write(follow_job, ended(topic, IMPORT, waiting.key), now)
    assert (await shown(context, number)).state == "queued", "its job is alive: it was made to run again"
    await context.db.write(cancel, waiting.id, now=now)
    for kind, key in (("grid.report", waiting.key), (IMPORT, None), (IMPORT, "import/99")):
        await context.db.write(follow_job, ended(topic, kind, key), now)
    assert (await shown(context, number)).state == "queued"
    await context.db.write(follow_job, ended(topic, IMPORT, waiting.key), now)
    assert [(of.state, of.error) for of in [await shown(context, number)]] == [("failed", "it ended")]


async def test_what_is_live_stays_so_when_its_job_ends(context: Context, tmp_path: Path) -> None:
    number = await uploaded(context, pack(write(tmp_path / "d"), tmp_path / "d.zip").read_bytes())
    assert await build_kinds(context, ConversationSettings())[IMPORT].handle(job(number)) == Done()
    (waiting,) = await context.db.read(find_jobs, limit=9)
    await context.db.write(cancel, waiting.id, now=context.clock.now())
    await context.db.write(follow_job, ended("job.cancelled", IMPORT, waiting.key), context.clock.now())
    assert (await shown(context, number)).state == "live"
