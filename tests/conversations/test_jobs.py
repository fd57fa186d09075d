"""The job, also where it is run again."""

from pathlib import Path

from signalbox.conversations import jobs, store
from signalbox.conversations.jobs import IMPORT, build_kinds
from signalbox.conversations.settings import ConversationSettings
from signalbox.infra.context import Context
from signalbox.infra.jobs import Done, Fail, Job
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
