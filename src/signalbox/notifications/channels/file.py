"""A file: each notice is appended as a CloudEvent, one JSON object a line."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from signalbox.notifications.channels import ChannelError, ChannelSettings, Equipment, Notice, Sent
from signalbox.notifications.channels.cloudevents import to_event
from signalbox.notifications.channels.markup import refuse_oversize

MAX_TEXT = 200_000
_MODE = 0o640


class FileSettings(ChannelSettings):
    """A file that grows."""

    kind: Literal["file"]
    path: Path
    """Made where it is missing; its folder must be there."""
    source: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")] = "/signalbox"
    """The event's ``source``, a URI that tells this hub from others."""


class FileChannel:
    """Appends and waits until it is on disk. The file is opened each time, so that it may be moved away."""

    settings_model = FileSettings

    def __init__(self, settings: FileSettings, equipment: Equipment) -> None:
        del equipment  # what it lends is for HTTP
        self.name, self.rate = settings.name, settings.rate
        self.host: str | None = None
        self.max_length: int | None = MAX_TEXT
        self._settings = settings

    @classmethod
    def example(cls, url: str) -> FileSettings:
        """The least that does, for ``file:///path``."""
        return FileSettings(kind="file", name="archive", path=Path(url.removeprefix("file://")))

    async def send(self, notice: Notice) -> Sent:
        """Append the notice.

        Raises:
            ChannelError: the file cannot be written, or not in time.
        """
        refuse_oversize(notice, MAX_TEXT)
        line = to_event(notice, source=self._settings.source) + b"\n"
        try:
            async with asyncio.timeout(self._settings.timeout):
                await asyncio.to_thread(_append, self._settings.path, line)
        except TimeoutError as error:
            msg = f"{self._settings.path} was not written in time"
            raise ChannelError(msg) from error
        except OSError as error:
            msg = f"{self._settings.path} cannot be written: {error.strerror}"
            raise ChannelError(msg) from error
        return Sent(notice.id)

    async def close(self) -> None:
        """Nothing is held."""


def _append(path: Path, line: bytes) -> None:
    """Append in one write, to disk; a line that a full disk cut short before is ended first."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
    with open(descriptor, "r+b", buffering=0) as file:  # noqa: PTH123 - a descriptor, for the mode and O_APPEND
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            line = line if file.read(1) == b"\n" else b"\n" + line
        if file.write(line) != len(line):
            raise OSError(0, "the disk is full")
        os.fsync(descriptor)
