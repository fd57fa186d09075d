import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from signalbox.notifications.channels import ChannelError
from signalbox.notifications.channels.file import FileChannel
from tests.support.channels import HOSTILE, NOTICE, open_channel, open_desk


async def send(path: Path, *texts: str) -> None:
    settings = FileChannel.example(f"file://{path}")
    async with open_desk() as desk, open_channel(settings, desk.equipment) as channel:
        await asyncio.gather(*(channel.send(replace(NOTICE, text=text)) for text in texts))


def lines(path: Path) -> list[str]:
    return [json.loads(line)["data"]["text"] for line in path.read_text().splitlines() if line.startswith('{"spec')]


async def test_each_notice_is_a_line_whatever_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "notices.jsonl"
    await send(path, "one")
    await send(path, HOSTILE, "a\nb")
    assert lines(path)[0] == "one"
    assert sorted(lines(path)[1:]) == sorted([HOSTILE, "a\nb"])


async def test_a_line_that_was_cut_short_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "notices.jsonl"
    path.write_text('{"cut')
    await send(path, "next")
    assert path.read_text().splitlines()[0] == '{"cut'
    assert lines(path) == ["next"]


async def test_many_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "notices.jsonl"
    texts = [f"{number} {'x' * 20_000}" for number in range(20)]
    await send(path, *texts)
    assert sorted(lines(path)) == sorted(texts)


async def test_the_file_is_not_for_everybody(tmp_path: Path) -> None:
    await send(tmp_path / "new", "x")
    assert (tmp_path / "new").stat().st_mode & 0o007 == 0


async def test_a_file_that_cannot_be_written_may_be_later(tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match="cannot be written: No such file or directory") as caught:
        await send(tmp_path / "no" / "folder", "x")
    assert not caught.value.permanent


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
async def test_a_full_disk_is_no_success() -> None:
    with pytest.raises(ChannelError, match="cannot be written"):
        await send(Path("/dev/full"), "x")
