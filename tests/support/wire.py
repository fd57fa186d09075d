"""What lies between a hub and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy as sa

from tests.support.databases import PostgresqlPlace


class Wire:
    """Passes bytes on to the server and back, until it is cut: then nothing comes, and nobody says so.

    What is lost meanwhile stays lost: who waits for it waits for ever, on a connection that looks alive.
    """

    def __init__(self, place: PostgresqlPlace) -> None:
        self._url = sa.make_url(place.url)
        self.cut = False
        self._streams: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[PostgresqlPlace]:
        """The place behind the wire; at the end all connections through it break."""
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        yield PostgresqlPlace(self._url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False))
        server.close()
        for stream in self._streams:
            stream.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._url.host, self._url.port or 5432)
        self._streams += [writer, back]
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer), return_exceptions=True)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if not self.cut:
                writer.write(data)
        writer.close()
