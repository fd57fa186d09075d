"""Broadcast over LISTEN and NOTIFY: PostgreSQL sends what was said on at COMMIT, to every process that listens."""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import Connection, text

from signalbox.core.outage import OutageLog
from signalbox.infra.broadcast import Listener
from signalbox.infra.broadcast.local import Listeners, check
from signalbox.infra.db import after_commit
from signalbox.infra.db.notices import hear

CHANNEL = "signalbox_broadcast"
"""The one channel of the server's; ours are told apart by what stands before the message."""
PAUSE = 0.5
"""Seconds before a connection that broke is opened again."""
SILENCE = 5.0
"""Seconds without a word after which the connection is tried, and that it then has to answer."""
CONNECT_TIMEOUT_S = 5

_NOTIFY = text("SELECT pg_notify(:place, each) FROM json_array_elements_text(CAST(:payloads AS json)) AS each")

_log = logging.getLogger(__name__)


class PostgresqlBroadcast:
    """A ``Broadcast`` for any number of processes. One connection listens, in addition to those of the database.

    What this process publishes does not go the long way: its listeners hear it after COMMIT, as with ``memory``, also
    while the connection is down, and what the server sends back of it is passed over.
    """

    def __init__(self, url: str, *, pause: float = PAUSE, silence: float = SILENCE) -> None:
        self._url, self._pause, self._silence = url, pause, silence
        self._origin = uuid4().hex
        self._listeners = Listeners()
        self._task: asyncio.Task[None] | None = None
        self._outage = OutageLog(_log, "other processes cannot be heard", "other processes are heard again")
        self.hears = False

    async def open(self) -> None:
        """Begin to hear; see ``Broadcast.open``."""
        self._listeners.open()
        self._task = asyncio.create_task(self._listen_for_ever(), name="broadcast")

    async def close(self) -> None:
        """Hear no more."""
        self._listeners.close()
        self.hears = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def publish(self, tx: Connection, channel: str, *messages: str) -> None:
        """Tell every process once ``tx`` is committed; see ``Broadcast.publish``."""
        payloads = [f"{self._origin} {channel} {check(message)}" for message in messages]
        tx.execute(_NOTIFY, {"place": CHANNEL, "payloads": json.dumps(payloads)})
        after_commit(tx, lambda: self._listeners.post(channel, messages))

    def subscribe(self, channel: str, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with what is published to ``channel``."""
        return self._listeners.add(channel, listener)

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                self._outage.failed(error)
            except Exception:  # noqa: BLE001 - whatever it was, the next attempt must come
                _log.exception("listening failed")
            self.hears = False
            await asyncio.sleep(self._pause)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="signalbox-broadcast",
            keepalives_idle=30,
            tcp_user_timeout=10_000,
        )
        async with connection:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
            self.hears = True
            self._outage.worked()
            self._listeners.tell_all_they_missed()
            while True:
                notices = await hear(connection, within=self._silence)
                for notice in notices:
                    self._hear(notice.payload)
                if not notices:
                    await self._try(connection)

    async def _try(self, connection: psycopg.AsyncConnection) -> None:
        """Ask something; raises OperationalError if no answer comes in time.

        The wait is not cancelled, because the driver would then ask the server, which is silent, to cancel, for 10 s.
        """
        timer = asyncio.get_running_loop().call_later(self._silence, _break_off, connection)
        try:
            await connection.execute("SELECT 1")
        finally:
            timer.cancel()

    def _hear(self, payload: str) -> None:
        origin, _, rest = payload.partition(" ")
        channel, _, message = rest.partition(" ")
        if origin != self._origin:
            self._listeners.deliver(channel, message)


def _break_off(connection: psycopg.AsyncConnection) -> None:
    """Have whoever waits for the server find the connection ended."""
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)
