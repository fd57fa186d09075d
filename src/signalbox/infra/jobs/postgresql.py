"""Jobs on PostgreSQL: any number of processes; LISTEN tells each of what the others enqueue."""

import asyncio
import logging

import psycopg
from psycopg import sql

from signalbox.core.outage import OutageLog
from signalbox.infra.db import Database
from signalbox.infra.db.notices import hear
from signalbox.infra.db.wake import CHANNEL, Wake
from signalbox.infra.jobs.database import LEASE, DatabaseQueue

PAUSE = 2.0
"""Seconds before a listening connection that broke is opened again; jobs are found by polling meanwhile."""
SILENCE = 60.0
"""Seconds without a word after which the connection is tried."""
CONNECT_TIMEOUT_S = 5

_log = logging.getLogger(__name__)


class PostgresqlQueue(DatabaseQueue):
    """For any number of processes. One connection listens; it is in addition to those of the database."""

    poll = 2.0

    def __init__(self, db: Database, url: str, *, lease: int = LEASE, pause: float = PAUSE) -> None:
        super().__init__(db, lease=lease)
        self._url, self._pause = url, pause
        self._task: asyncio.Task[None] | None = None
        self._outage = OutageLog(
            _log, "news of jobs cannot be heard; they are found by polling", "news of jobs is heard again"
        )

    async def open(self, wake: Wake, *, now: int) -> None:
        """Wake after transactions of this process, and when others notify."""
        await super().open(wake, now=now)
        self._task = asyncio.create_task(self._listen_for_ever(wake))

    async def close(self) -> None:
        """Wake nobody any more."""
        await super().close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen_for_ever(self, wake: Wake) -> None:
        while True:
            try:
                await self._listen(wake)
            except (psycopg.Error, OSError) as error:
                self._outage.failed(error)
            except Exception:  # noqa: BLE001 - whatever it was, the next attempt must come
                _log.exception("listening failed")
            await asyncio.sleep(self._pause)

    async def _listen(self, wake: Wake) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="signalbox-jobs",
            keepalives_idle=30,
            tcp_user_timeout=10_000,
        )
        async with connection:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
            self._outage.worked()
            while True:
                notices = await hear(connection, within=SILENCE)
                for notice in notices:
                    wake(notice.payload, 0)
                if not notices:
                    await connection.execute("SELECT 1")
