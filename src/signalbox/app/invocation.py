"""What one call of the command line was given, and the settings that follow from it."""

# ruff: noqa: PLC0415 - what stands behind settings takes seconds to import, and is not needed for --help

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from signalbox.app.load import Sources
    from signalbox.app.settings import Settings
    from signalbox.infra.context import Context


class Invocation:
    """Flags as they come, before any settings are read. Picklable, so that workers read settings likewise."""

    def __init__(self) -> None:
        self._config: Path | None = None
        self._flags: dict[str, Any] = {}

    def take(self, name: str, value: Any) -> None:
        """Remember a flag; one that was not given is no flag."""
        if value is None:
            return
        if name == "config":
            self._config = Path(value)
        else:
            self._flags[name] = value

    def sources(self) -> "Sources":
        """Where settings come from besides flags."""
        from signalbox.app.load import Sources

        return Sources.of_process(self._config)

    def settings(self) -> "Settings":
        """The settings, read anew at every call.

        Raises:
            SettingsError: one or more are wrong.
        """
        from signalbox.app.load import load

        return load(self._flags, self.sources())

    def open_context(self) -> "AbstractAsyncContextManager[Context]":
        """The seams for a command, on a database of the newest schema."""
        from signalbox.app.hub import open_context, upgrade_databases

        settings = self.settings()
        upgrade_databases(settings)
        return open_context(settings)
