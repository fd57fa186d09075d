"""Unpacks zip files that anybody may have made: nothing of them decides where files go, and all of it has its bounds."""

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Final

from signalbox.conversations.errors import InvalidDatasetError

MAX_FILES: Final = 10_000
MAX_DIRECTORY: Final = 8 * 1024**2
"""Bytes of an archive's list of files, which is read as a whole: some 80,000 names."""

_BLOCK: Final = 1024**2
_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
_COMMENT: Final = 65_535


def unpack(
    path: Path, folder: Path, *, wanted: Callable[[PurePosixPath], bool], max_bytes: int | None
) -> dict[PurePosixPath, Path]:
    """Unpack the wanted files of an archive into a folder, by their names there; each is called by its number here.

    Raises:
        InvalidDatasetError: it is damaged, has too many files, or unpacks to more than ``max_bytes``.
    """
    files: dict[PurePosixPath, Path] = {}
    left = max_bytes
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            for number, member in enumerate(_members(archive, wanted)):
                target = files[PurePosixPath(member.filename)] = folder / str(number)
                with archive.open(member) as source, target.open("wb") as unpacked:
                    left = _copy(source, unpacked, left)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError, struct.error) as error:
        msg = f"the zip file cannot be read: {error}"
        raise InvalidDatasetError(msg) from error
    return files


def _members(archive: zipfile.ZipFile, wanted: Callable[[PurePosixPath], bool]) -> list[zipfile.ZipInfo]:
    found = [
        member
        for member in archive.infolist()
        if not member.is_dir()
        and not stat.S_ISLNK(member.external_attr >> 16)
        and wanted(PurePosixPath(member.filename))
    ]
    if len(found) > MAX_FILES:
        msg = f"the zip file has {len(found):,} files; {MAX_FILES:,} are allowed"
        raise InvalidDatasetError(msg)
    return found


def _copy(source: IO[bytes], target: IO[bytes], left: int | None) -> int | None:
    """Copy while no more than ``left`` bytes come; what is left after."""
    while block := source.read(_BLOCK):
        if left is not None:
            left -= len(block)
            if left < 0:
                msg = "the zip file unpacks to more than is allowed (conversations.max_unpacked)"
                raise InvalidDatasetError(msg)
        target.write(block)
    return left


def _check_directory(path: Path) -> None:
    """Refuse an archive whose list of files is so long that reading it takes the memory of the process.

    As ``zipfile`` does, it is looked for behind everything else (APPNOTE.TXT, 4.3.14 to 4.3.16).
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        begin = max(0, size - _END.size - _COMMENT)
        file.seek(begin)
        tail = file.read()
        at = tail.rfind(b"PK\5\6")
        if at < 0:
            return  # no zip file, as zipfile will say
        length: int = _END.unpack_from(tail, at)[5]
        before = _END_64.size + _LOCATOR.size
        file.seek(max(0, begin + at - before))
        large = file.read(before)
        if large.startswith(b"PK\6\6") and large[_END_64.size :].startswith(b"PK\6\7"):
            length = _END_64.unpack_from(large)[8]
    if length > MAX_DIRECTORY:
        msg = f"the zip file's list of files has more than {MAX_DIRECTORY:,} bytes"
        raise InvalidDatasetError(msg)
