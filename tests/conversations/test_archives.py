"""Archives that mean no good."""

import struct
import zipfile
from pathlib import Path

import pytest

from signalbox.conversations.archives import MAX_DIRECTORY, MAX_FILES, unpack
from signalbox.conversations.errors import InvalidDatasetError


def archive(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def unpacked(path: Path, folder: Path, most: int | None = None) -> dict[str, bytes]:
    folder.mkdir(exist_ok=True)
    found = unpack(path, folder, wanted=lambda name: name.suffix != ".no", max_bytes=most)
    return {str(name): file.read_bytes() for name, file in found.items()}


def test_names_say_nothing_about_where_files_go(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"../../escaped": b"a", "/etc/escaped": b"b", "x/y": b"c", "z.no": b"d"})
    found = unpack(path, tmp_path, wanted=lambda name: name.suffix != ".no", max_bytes=None)
    assert [str(name) for name in found] == ["../../escaped", "/etc/escaped", "x/y"]
    assert [file.parent for file in found.values()] == [tmp_path] * 3


def test_links_are_passed_over(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr(link, "/etc/passwd")
        made.writestr("file", "x")
    assert unpacked(tmp_path / "a.zip", tmp_path / "out") == {"file": b"x"}


def test_what_unpacks_to_too_much_is_refused_whatever_it_says_of_itself(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a": bytes(3_000_000), "b": bytes(3_000_000)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10_000
    with pytest.raises(InvalidDatasetError, match="max_unpacked"):
        unpacked(path, tmp_path / "out", most=4_000_000)
    assert len(unpacked(path, tmp_path / "out", most=6_000_000)) == 2
    content = path.read_bytes().replace(struct.pack("<L", 3_000_000), struct.pack("<L", 30))
    path.write_bytes(content)
    with pytest.raises(InvalidDatasetError):
        unpacked(path, tmp_path / "out", most=1_000_000)


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {str(number): b"" for number in range(MAX_FILES + 1)})
    with pytest.raises(InvalidDatasetError, match="10,001 files"):
        unpacked(path, tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())


def test_a_list_of_files_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a": b"x"})
    content = bytearray(path.read_bytes())
    content[-10:-6] = struct.pack("<L", MAX_DIRECTORY + 1)
    path.write_bytes(content)
    with pytest.raises(InvalidDatasetError, match="list of files"):
        unpacked(path, tmp_path / "out")


def test_large_archives_have_their_list_in_another_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)  # the standard library's: writes ZIP64 from here on
    path = archive(tmp_path / "a.zip", {"a": b"x", "b": b"y", "c": b"z"})
    assert b"PK\6\6" in path.read_bytes()
    assert len(unpacked(path, tmp_path / "out")) == 3
    content = path.read_bytes()
    at = content.index(b"PK\6\6") + 40
    path.write_bytes(content[:at] + struct.pack("<Q", MAX_DIRECTORY + 1) + content[at + 8 :])
    with pytest.raises(InvalidDatasetError, match="list of files"):
        unpacked(path, tmp_path / "out")


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a": b"some text" * 100})
    content = path.read_bytes()
    for number, damaged in enumerate(
        (b"", b"PK", content[:-30], content[:40] + bytes(60) + content[100:], content[-22:-4])
    ):
        path.write_bytes(damaged)
        with pytest.raises(InvalidDatasetError, match="cannot be read"):
            unpacked(path, tmp_path / f"out{number}")
