"""Where the files of a data set are: folders as Spark writes them, or a zip file of such folders."""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from signalbox.conversations.archives import unpack
from signalbox.conversations.errors import InvalidDatasetError, UnfinishedDatasetError

FOLDERS: Final = ("company", "tag", "transcript", "conversation", "monologue")
SUCCESS: Final = "_SUCCESS"
FORMAT: Final = b"2"
"""Part of every fingerprint: to be changed when the same files are to be imported otherwise than before."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of rows."""

    name: str
    """Folder and file, as in ``tag/part-00000-....snappy.parquet``: how reports call it."""
    path: Path


@dataclass(frozen=True, slots=True)
class Dataset:
    """The parts of each of ``FOLDERS``, in the order of their names."""

    parts: Mapping[str, tuple[Part, ...]]
    notes: tuple[str, ...]

    def fingerprint(self) -> str:
        """A hash over the names and contents of all parts."""
        total = hashlib.sha256(FORMAT)
        for part in (each for folder in FOLDERS for each in self.parts[folder]):
            with part.path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256")
            total.update(f"{part.name}\0{content.hexdigest()}\0".encode())
        return total.hexdigest()


@contextmanager
def open_dataset(path: Path, *, forced: bool = False, max_unpacked: int | None = None) -> Iterator[Dataset]:
    """The data set in a folder, or in a zip file, whose parts are unpacked while the block runs.

    Raises:
        UnfinishedDatasetError: a folder has no ``_SUCCESS`` and the import is not ``forced``.
        InvalidDatasetError: it is no data set, or unpacks to more than ``max_unpacked`` bytes.
    """
    if path.is_dir():
        files = {_relative(path, each): each for each in path.rglob("*") if each.is_file()}
        yield _to_dataset(files, forced=forced)
        return
    if not zipfile.is_zipfile(path):
        msg = f"{path.name} is neither a folder nor a zip file" if path.exists() else f"{path} does not exist"
        raise InvalidDatasetError(msg)
    with TemporaryDirectory(prefix="signalbox-import-") as folder:
        yield _to_dataset(unpack(path, Path(folder), wanted=_is_wanted, max_bytes=max_unpacked), forced=forced)


def _relative(root: Path, file: Path) -> PurePosixPath:
    return PurePosixPath(file.relative_to(root).as_posix())


def _is_wanted(name: PurePosixPath) -> bool:
    """Names that begin with ``_`` or ``.`` are ignored, those of folders too; ``_SUCCESS`` is looked for."""
    return not any(part.startswith(("_", ".")) for part in name.parts[:-1]) and (
        name.name == SUCCESS or not name.name.startswith(("_", "."))
    )


def _to_dataset(files: Mapping[PurePosixPath, Path], *, forced: bool) -> Dataset:
    found = {name: path for name, path in files.items() if _is_wanted(name) and name.parent.name in FOLDERS}
    root = _root({name.parent.parent for name in found})
    parts: dict[str, tuple[Part, ...]] = {}
    notes: list[str] = []
    for folder in FOLDERS:
        inside = sorted((name, path) for name, path in found.items() if name.parent == root / folder)
        if not inside:
            msg = f"the folder {folder} is missing or empty; there must be {', '.join(FOLDERS)}"
            raise InvalidDatasetError(msg)
        if SUCCESS not in {name.name for name, _ in inside}:
            msg = f"{folder} has no {SUCCESS}: it may not be complete; force the import to take it as it is"
            if not forced:
                raise UnfinishedDatasetError(msg)
            notes.append(f"{folder} has no {SUCCESS}; it was taken as it is")
        parts[folder] = tuple(Part(f"{folder}/{name.name}", path) for name, path in inside if name.suffix == ".parquet")
        notes += [f"{folder}/{name.name} is no Parquet file and was passed over" for name, _ in inside if _is_odd(name)]
    return Dataset(parts, tuple(notes))


def _is_odd(name: PurePosixPath) -> bool:
    return name.suffix != ".parquet" and name.name != SUCCESS


def _root(roots: set[PurePosixPath]) -> PurePosixPath:
    if len(roots) > 1:
        msg = f"there are several data sets: {', '.join(sorted(map(str, roots)))}"
        raise InvalidDatasetError(msg)
    return roots.pop() if roots else PurePosixPath()
