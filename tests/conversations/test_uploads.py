"""Zip files over HTTP, from the upload to the search."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from signalbox.conversations import importing, jobs, store
from signalbox.conversations.errors import ImportEndedError
from signalbox.conversations.settings import ConversationSettings
from signalbox.conversations.sweeping import KEPT_UNTOUCHED, sweep_some
from signalbox.conversations.uploads import Intake
from signalbox.core.times import MICROSECONDS
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context
from signalbox.infra.jobs import cancel, find_jobs
from signalbox.sandbox.interviews import Size, make_dataset
from tests.conversations.conftest import PATH, Desk, made, talk, write
from tests.conversations.test_dataset import pack
from tests.support.databases import Place
from tests.support.hub import request, running_hub, settings_at
from tests.support.timing import PATIENCE

IMPORTS = f"{PATH}/imports"


async def ended(desk: Desk, place: str) -> Any:
    async with asyncio.timeout(30):
        while (found := await desk.get(place))["state"] in ("queued", "loading"):
            await asyncio.sleep(0.05)
        return found


async def test_an_upload_is_imported_by_a_job(empty_desk: Desk, tmp_path: Path) -> None:
    rows = made()
    rows.conversation.append(talk(8, 4, text="".join(chr(97 + at * at % 26) for at in range(3_000_000))))
    content = pack(write(tmp_path / "d", rows), tmp_path / "d.zip").read_bytes()
    assert len(content) > 0
    answer = await empty_desk.call(IMPORTS, method="POST", body=content)
    assert answer.status == 202
    place = (answer.value(b"location") or b"").decode()
    done = await ended(empty_desk, place)
    assert (done["state"], done["error"], done["rows_done"]) == ("live", None, 12)
    await empty_desk.until_version(done["id"])
    assert len(await empty_desk.ids()) == 8
    assert await empty_desk.hub.hub.context.db.read(store.read_upload, done["id"], 0) is None
    (listed,) = await empty_desk.get(IMPORTS)
    assert (listed["id"], listed["state"], listed["report"]) == (done["id"], "live", None)


async def test_what_is_no_data_set_fails_with_its_reason(desk: Desk, tmp_path: Path) -> None:
    folder = write(tmp_path / "d")
    (folder / "company" / "_SUCCESS").unlink()
    content = pack(folder, tmp_path / "d.zip").read_bytes()
    answer = await desk.call(IMPORTS, method="POST", body=content)
    failed = await ended(desk, f"{IMPORTS}/{json.loads(answer.body)['id']}")
    assert (failed["state"], failed["error"][:23]) == ("failed", "company has no _SUCCESS")
    answer = await desk.call(f"{IMPORTS}?force=true", method="POST", body=content)
    forced = await ended(desk, f"{IMPORTS}/{json.loads(answer.body)['id']}")
    assert forced["state"] in ("live", "unchanged")


async def test_other_bodies_are_refused(empty_desk: Desk) -> None:
    for body in (b"hello", b"", b"--boundary\r\nContent-Disposition: form-data"):
        answer = await empty_desk.call(IMPORTS, method="POST", body=body)
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_dataset")
    assert {each["state"] for each in await empty_desk.get(IMPORTS)} == {"failed"}


async def test_a_client_that_leaves_leaves_a_failed_import(empty_desk: Desk) -> None:
    async with empty_desk.hub.client() as client:
        head = [(b"Token", empty_desk.token.encode()), (b"Content-Length", b"1000")]
        await client.send(request(IMPORTS.encode(), method=b"POST", headers=head) + b"PK\x03\x04")
        async with asyncio.timeout(PATIENCE):
            while not await empty_desk.get(IMPORTS):
                await asyncio.sleep(0.02)
    async with asyncio.timeout(PATIENCE):
        while (await empty_desk.get(IMPORTS))[0]["state"] != "failed":
            await asyncio.sleep(0.02)


async def begun(context: Context) -> Intake:
    intake = Intake(context, ConversationSettings())
    await intake.begin("test", forced=False)
    return intake


async def state(context: Context, intake: Intake) -> tuple[str, str | None]:
    found = await context.db.read(store.find_import, intake.number)
    assert found is not None
    return found.state, found.error


async def test_a_slow_upload_goes_on_as_long_as_pieces_come(context: Context, clock: ManualClock) -> None:
    intake = await begun(context)
    for piece in (b"PK" + bytes(store.PIECE), bytes(store.PIECE), bytes(store.PIECE)):
        clock.advance(0.9 * KEPT_UNTOUCHED / MICROSECONDS)
        await intake.add(piece)
        assert await context.db.write(sweep_some, clock.now(), 9) == 0
    await intake.end()
    assert await state(context, intake) == ("queued", None)
    assert await context.db.read(store.read_upload, intake.number, 3) == bytes(2)


async def test_an_upload_that_was_given_up_is_not_taken_up_again(context: Context) -> None:
    intake = await begun(context)
    await context.db.write(importing.fail, intake.number, "too slow", now=context.clock.now())
    with pytest.raises(ImportEndedError, match="is failed: too slow"):
        await intake.add(b"PK" + bytes(store.PIECE))
    other = await begun(context)
    await other.add(b"PK")
    await context.db.write(importing.fail, other.number, "too slow", now=context.clock.now())
    with pytest.raises(ImportEndedError, match="is failed: too slow"):
        await other.end()
    await other.fail("something else")
    assert await state(context, other) == ("failed", "too slow")
    assert await context.db.read(find_jobs, limit=9) == []


async def test_an_import_whose_job_is_cancelled_has_failed(empty_desk: Desk) -> None:
    context = empty_desk.hub.hub.context
    intake = await begun(context)
    await intake.add(b"PK")

    def queue_and_cancel(tx: sa.Connection) -> None:
        jobs.enqueue(tx, intake.number, now=context.clock.now())
        (job,) = find_jobs(tx, kind=jobs.IMPORT, limit=9)
        cancel(tx, job.id, now=context.clock.now())

    await context.db.write(queue_and_cancel)
    failed = await ended(empty_desk, f"{IMPORTS}/{intake.number}")
    assert (failed["state"], failed["error"]) == ("failed", "its job was cancelled")


async def test_a_large_file_is_refused(place: Place) -> None:
    async with running_hub(settings_at(place, conversations={"max_upload": 10})) as hub:
        desk = Desk(hub, (await hub.token("manager")).text)
        assert (await desk.call(IMPORTS, method="POST", body=b"PK" + bytes(20))).status == 413


async def test_only_managers_may(desk: Desk) -> None:
    other = Desk(desk.hub, (await desk.hub.token("conversations:read")).text)
    assert (await other.call(IMPORTS, method="POST", body=b"PK")).status == 403
    assert (await other.get(f"{IMPORTS}/1"))["state"] == "live"


@pytest.mark.timeout(180)
async def test_progress_is_seen_while_it_is_imported(empty_desk: Desk, tmp_path: Path) -> None:
    make_dataset(tmp_path / "d", Size(60_000))
    answer = await empty_desk.call(IMPORTS, method="POST", body=pack(tmp_path / "d", tmp_path / "d.zip").read_bytes())
    place, seen = (answer.value(b"location") or b"").decode(), list[tuple[int, int]]()
    async with asyncio.timeout(120):
        while not seen or seen[-1][1] < 75_000:
            found = await empty_desk.get(place)
            seen.append((found["rows_done"], found["texts_done"]))
            await asyncio.sleep(0.01)
    assert seen == sorted(seen)
    assert any(0 < rows < 75_000 for rows, _ in seen) or any(0 < texts < 75_000 for _, texts in seen)
