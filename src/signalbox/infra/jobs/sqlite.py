"""Jobs on SQLite: one process runs them, so whatever a predecessor left running is free at once."""

from signalbox.infra.db.wake import Wake
from signalbox.infra.jobs import leases
from signalbox.infra.jobs.database import DatabaseQueue


class SqliteQueue(DatabaseQueue):
    """For the one process of a hub on SQLite. Jobs that commands enqueue beside it are found within a second."""

    async def open(self, wake: Wake, *, now: int) -> None:
        """Take over what a predecessor, which is no more, had claimed; then wake as every version does.

        What it had claimed counts as an attempt: it may have been what ended the process.
        """
        await self._db.write(leases.end_leases, now=now)
        await self.recover(now=now)
        await super().open(wake, now=now)
