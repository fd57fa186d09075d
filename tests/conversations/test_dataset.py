"""Finding the files of a data set."""

import zipfile
from pathlib import Path

import pytest

from signalbox.conversations.dataset import FOLDERS, open_dataset
from signalbox.conversations.errors import InvalidDatasetError, UnfinishedDatasetError
from tests.conversations.conftest import write


def pack(folder: Path, target: Path, *, inside: str = "", junk: bool = True) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in folder.rglob("*"):
            if path.is_file():
                archive.write(path, f"{inside}{path.relative_to(folder).as_posix()}")
                if junk:
                    archive.writestr(f"__MACOSX/{inside}{path.parent.name}/._{path.name}", b"junk")
    return target


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data")


def names(path: Path) -> dict[str, list[str]]:
    with open_dataset(path) as found:
        assert all(part.path.is_file() for parts in found.parts.values() for part in parts)
        return {name: [part.name for part in parts] for name, parts in found.parts.items()}


def test_parts_are_taken_in_the_order_of_their_names_and_hidden_files_are_ignored(folder: Path) -> None:
    found = names(folder)
    assert list(found) == list(FOLDERS)
    assert [name.split("-")[1] for name in found["conversation"]] == ["00000", "00001", "00002"]
    assert all(name.endswith(".parquet") and "/part-" in name for each in found.values() for name in each)


def test_a_zip_file_holds_the_same_however_deep(folder: Path, tmp_path: Path) -> None:
    expected = names(folder)
    assert names(pack(folder, tmp_path / "flat.zip")) == expected
    deep = pack(folder, tmp_path / "deep.zip", inside="export/2024/")
    assert names(deep) == expected
    with open_dataset(deep) as zipped, open_dataset(folder) as plain:
        assert zipped.fingerprint() == plain.fingerprint()
        kept = zipped.parts["tag"][0].path
    assert not kept.exists(), "unpacked files are deleted"


def test_fingerprints_differ_where_files_do(folder: Path) -> None:
    with open_dataset(folder) as found:
        before = found.fingerprint()
        path = found.parts["tag"][0].path
        path.write_bytes(path.read_bytes() + b"x")
        assert found.fingerprint() != before


def test_what_is_not_finished_is_refused_unless_forced(folder: Path) -> None:
    (folder / "tag" / "_SUCCESS").unlink()
    with pytest.raises(UnfinishedDatasetError, match="tag has no _SUCCESS"), open_dataset(folder):
        pass
    with open_dataset(folder, forced=True) as found:
        assert found.notes == ("tag has no _SUCCESS; it was taken as it is",)


def test_strange_files_are_told_of(folder: Path) -> None:
    (folder / "tag" / "readme.txt").write_text("hello")
    with open_dataset(folder) as found:
        assert "tag/readme.txt" in found.notes[0]


def test_names_that_begin_with_an_underscore_are_ignored(folder: Path, tmp_path: Path) -> None:
    expected = names(folder)
    part = next((folder / "tag").glob("part-*")).read_bytes()
    odd = (
        "tag/_tmp-part-0.parquet",
        "tag/_temporary/0/part-0.parquet",
        "_temporary/tag/part-0.parquet",
        "tag/_committed",
    )
    for name in odd:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(part)
    for path in (folder, pack(folder, tmp_path / "a.zip")):
        assert names(path) == expected
        with open_dataset(path) as found:
            assert found.notes == ()


def test_what_is_no_data_set_is_refused(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    content = bytearray(pack(folder, tmp_path / "whole.zip").read_bytes())
    content[200:400] = bytes(200)
    broken.write_bytes(content)
    text = tmp_path / "text.zip"
    text.write_text("no zip")
    (empty := tmp_path / "empty").mkdir()
    for path in (tmp_path / "missing", text, broken, empty):
        with pytest.raises(InvalidDatasetError), open_dataset(path):
            pass


def test_a_zip_file_that_unpacks_to_too_much_is_refused(folder: Path, tmp_path: Path) -> None:
    path = pack(folder, tmp_path / "a.zip")
    with pytest.raises(InvalidDatasetError, match="max_unpacked"), open_dataset(path, max_unpacked=1_000):
        pass


def test_names_in_a_zip_file_lead_nowhere(folder: Path, tmp_path: Path) -> None:
    path = pack(folder, tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../tag/escaped.parquet", b"x")
        archive.writestr("/tag/escaped.parquet", b"x")
    with pytest.raises(InvalidDatasetError, match="several data sets"), open_dataset(path):
        pass
    assert not list(tmp_path.parent.rglob("escaped.parquet"))
