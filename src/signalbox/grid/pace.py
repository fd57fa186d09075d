"""How much an import writes at once, and when it lets others go first: whoever else writes waits for its steps."""

from typing import Final

from sqlalchemy import Connection

HOLD: Final = 0.03
"""Seconds that a step may take, without its commit."""
FIRST: Final = 25_000
"""Readings in the first step."""
LEAST: Final = 2_000
MOST: Final = 150_000
"""More readings at once are no quicker."""
PAUSE: Final = 0.025
"""Seconds between two steps while other processes write to the same SQLite file. One that finds the file locked looks
again after 25 ms at most in the first eighth of a second, so it finds it free after one step."""


class Pace:
    """How many readings the next step takes, by how long those before took."""

    def __init__(self) -> None:
        self.size = FIRST
        self.pause = 0.0
        """Seconds to wait before it."""
        self._version: int | None = None

    def note(self, count: int, seconds: float) -> None:
        """A step of ``count`` readings took so long; a short one, at the end of a batch, tells little."""
        if count * 2 >= self.size:
            fitting = int(count * HOLD / max(seconds, 1e-6))
            self.size = max(LEAST, min(fitting, self.size * 2, MOST))

    def note_version(self, version: int) -> None:
        """What ``read_version`` said in that step."""
        self.pause = PAUSE if self._version not in (None, version) else 0.0
        self._version = version


def read_version(tx: Connection) -> int:
    """A number that changes once another connection has committed. On PostgreSQL none waits for a file: it stays."""
    if tx.dialect.name != "sqlite":
        return 0
    version: int = tx.exec_driver_sql("PRAGMA data_version").scalar_one()
    return version
