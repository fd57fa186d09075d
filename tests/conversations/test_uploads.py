"""Zip files over HTTP, from the upload to the search."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from signalbox.conversations import store
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
