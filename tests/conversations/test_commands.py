"""The command, also where it is killed, and beside a server."""

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from signalbox.sandbox.interviews import Size, make_dataset
from tests.conversations.conftest import PATH, write
from tests.support.processes import SIGNALBOX, ask, run, serving, started, until


@pytest.mark.timeout(180)
def test_a_data_set_is_imported_and_listed(tmp_path: Path) -> None:
    folder = write(tmp_path / "data")
    done = run("conversations", "import", str(folder), folder=tmp_path)
    assert (done.code, "import 1 is live: 21 read, 21 linked" in done.err) == (0, True), done.err
    again = run("conversations", "import", "data", "--json", folder=tmp_path)
    assert (again.code, again.json["state"]) == (0, "unchanged")
    listed = run("conversations", "imports", "--json", folder=tmp_path).json
    assert [(each["id"], each["state"], each["source"]) for each in listed] == [
        (2, "unchanged", "data"), (1, "live", "data")
    ]  # fmt: skip
    assert run("conversations", "imports", folder=tmp_path).out.split()[:2] == ["id", "state"]


@pytest.mark.timeout(180)
def test_a_zip_file_is_imported_too(tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", write(tmp_path / "data"))
    done = run("conversations", "import", archive, folder=tmp_path)
    assert (done.code, "import 1 is live: 21 read, 21 linked" in done.err) == (0, True), done.err
    (listed,) = run("conversations", "imports", "--json", folder=tmp_path).json
    assert (listed["state"], listed["source"], listed["rows_total"]) == ("live", "set.zip", 11)
    assert run("conversations", "import", "data", "--json", folder=tmp_path).json["state"] == "unchanged"


@pytest.mark.timeout(180)
def test_failures_have_their_exit_code_and_reason(tmp_path: Path) -> None:
    folder = write(tmp_path / "data")
    (folder / "tag" / "_SUCCESS").unlink()
    failed = run("conversations", "import", str(folder), folder=tmp_path)
    assert (failed.code, "tag has no _SUCCESS" in failed.err) == (2, True)
    assert run("conversations", "import", str(folder), "--force", folder=tmp_path).code == 0
    assert run("conversations", "import", "nowhere", folder=tmp_path).code == 2
    states = [each["state"] for each in run("conversations", "imports", "--json", folder=tmp_path).json]
    assert states == ["failed", "live", "failed"]


@pytest.mark.timeout(180)  # several processes on whatever machine
def test_a_server_sees_it_soon_and_a_killed_import_leaves_the_old_version(tmp_path: Path) -> None:
    large = tmp_path / "large"
    make_dataset(large, Size(300_000))
    folder = write(tmp_path / "data")
    with serving(folder=tmp_path) as server:
        made = run("tokens", "create", "--app", "a", "--scope", "conversations:read", folder=tmp_path)
        token = made.out.strip()

        def get(path: str) -> Any:
            answer = ask(server.url + path, headers={"Token": token})
            assert answer.status == 200, answer.text
            return answer.json

        def version() -> int:
            return int(get(f"{PATH}/statistics")["version"])

        def last() -> Any:
            return get(f"{PATH}/imports?limit=1")[0]

        assert version() == 0
        assert run("conversations", "import", str(folder), folder=tmp_path).code == 0
        until(lambda: version() == 1, within=60)
        command: list[str | Path] = [SIGNALBOX, "conversations", "import", str(large)]
        with started(command, folder=tmp_path / "killed", SIGNALBOX_DATA_DIR=str(tmp_path / "signalbox-data")) as other:
            until(lambda: last()["id"] == 2 and last()["rows_done"] > 0, within=60)
            other.end(signal.SIGKILL)
        assert last()["state"] == "loading"
        time.sleep(1)  # a server that was to see something of it would have by now
        assert version() == 1
        assert get(PATH)["total"] == 7
