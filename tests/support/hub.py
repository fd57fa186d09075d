"""A real hub behind the production server in the test's event loop, and a client that sends bytes exactly as given."""

import asyncio
import contextlib
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import uvicorn
from uvicorn.server import ServerState

from signalbox.app.hub import Hub, calls_path, open_hub
from signalbox.app.load import Sources, load
from signalbox.app.server import listen, uvicorn_config
from signalbox.app.settings import Settings
from signalbox.auth import service as auth_service
from signalbox.auth.service import IssuedToken
from tests.support.databases import Place, PostgresqlPlace, SqlitePlace
from tests.support.timing import PATIENCE

Header = tuple[bytes, bytes]
Headers = Sequence[Header]


@dataclass(frozen=True)
class Answer:
    """An answer as it came over the wire; header names in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    whole: bool
    """Whether the body ended as its framing says; False where the connection broke off before."""
    interim: list[int] = field(default_factory=list)
    """Statuses of 1xx answers before it."""

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key == name]

    def value(self, name: bytes) -> bytes | None:
        return next(iter(self.values(name)), None)


class Client:
    """One connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, method: bytes = b"GET") -> Answer:
        """The next answer; raises TimeoutError if none comes, IncompleteReadError if its head breaks off."""
        async with asyncio.timeout(PATIENCE):
            status, headers, interim = await self.head()
            if method == b"HEAD" or status in (204, 304):
                return Answer(status, headers, b"", whole=True, interim=interim)
            body, whole = await self._body(dict(headers))
            return Answer(status, headers, body, whole=whole, interim=interim)

    async def head(self) -> tuple[int, list[tuple[bytes, bytes]], list[int]]:
        """Status and headers of the next answer, and the statuses of interim ones before it."""
        interim: list[int] = []
        while True:
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
            status = int(first.split(b" ", 2)[1])
            if status >= 200:
                pairs = [line.split(b": ", 1) for line in lines]
                return status, [(name.lower(), value) for name, value in pairs], interim
            interim.append(status)

    async def rest(self) -> bytes:
        """All that comes until the connection ends, in whatever way."""
        pieces: list[bytes] = []
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                while piece := await self.reader.read(65_536):
                    pieces.append(piece)
        return b"".join(pieces)

    async def ended(self) -> bool:
        """Whether the server closes the connection, without another byte."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read(1) == b""
            return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def abort(self) -> None:
        """Leave at once with RST, whatever is still under way."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def _body(self, headers: dict[bytes, bytes]) -> tuple[bytes, bool]:
        pieces: list[bytes] = []
        try:
            if headers.get(b"transfer-encoding") == b"chunked":
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    pieces.append((await self.reader.readexactly(size + 2))[:-2])
                await self.reader.readexactly(2)
            else:
                pieces.append(await self.reader.readexactly(int(headers[b"content-length"])))
        except asyncio.IncompleteReadError as error:
            return b"".join(pieces) + error.partial, False
        except ConnectionError:
            return b"".join(pieces), False
        return b"".join(pieces), True


def request(
    target: bytes,
    *,
    method: bytes = b"GET",
    headers: Headers = (),
    body: bytes = b"",
    host: bytes | None = b"hub.test",
    version: bytes = b"HTTP/1.1",
) -> bytes:
    """The bytes of a request; a body gets its Content-Length unless ``headers`` frame it."""
    fields = [] if host is None else [(b"Host", host)]
    fields += headers
    framed = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in headers)
    if body and not framed:
        fields.append((b"Content-Length", b"%d" % len(body)))
    lines = [b"%b %b %b\r\n" % (method, target, version), *(b"%b: %b\r\n" % each for each in fields), b"\r\n"]
    return b"".join(lines) + body


def chunked(*pieces: bytes) -> bytes:
    """A body in chunks, its end included."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@dataclass
class RunningHub:
    """A hub that serves on ``port``."""

    hub: Hub
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        client = await Client.connect(self.port)
        try:
            yield client
        finally:
            await client.close()

    async def exchange(self, data: bytes, *, method: bytes = b"GET") -> Answer:
        """Send bytes on a new connection and take the answer."""
        async with self.client() as client:
            await client.send(data)
            return await client.answer(method=method)

    async def ask(self, target: bytes, *, method: bytes = b"GET", **more: Any) -> Answer:
        """Send a request, see ``request``, on a new connection and take the answer."""
        return await self.exchange(request(target, method=method, **more), method=method)

    async def flush(self) -> None:
        """Write the statistics that wait."""
        assert self.hub.gateway is not None
        await self.hub.recorder.flush()

    async def token(self, *scopes: str, app: str | None = "shop", any_app: bool = False) -> IssuedToken:
        """A new app token."""
        db, now = self.hub.context.db, self.hub.context.clock.now()
        return await db.write(
            auth_service.create_token,
            app=app,
            any_app=any_app,
            scopes=scopes or ["gateway"],
            expires_at=None,
            actor="test",
            at=now,
        )

    async def revoke(self, token: IssuedToken) -> None:
        db, now = self.hub.context.db, self.hub.context.clock.now()
        await db.write(auth_service.revoke_token, which=str(token.token.id), actor="test", at=now)


def settings_at(place: Place, **flags: Any) -> Settings:
    """Settings of a hub on a test's databases."""
    if isinstance(place, SqlitePlace):
        shutil.copyfile(place.folder / "calls.db", calls_path(place.path))
        flags["database_url"] = f"sqlite:///{place.path}"
    else:
        assert isinstance(place, PostgresqlPlace)
        flags["database_url"] = place.url
    return load(flags, Sources())


@asynccontextmanager
async def running_hub(settings: Settings) -> AsyncIterator[RunningHub]:
    """A hub that serves until the block ends; calls under way are then dropped."""
    async with open_hub(settings) as hub, serving(uvicorn_config(hub)) as port:
        yield RunningHub(hub, port)


@asynccontextmanager
async def serving(config: uvicorn.Config) -> AsyncIterator[int]:
    """A free port on which uvicorn's protocol serves, without the server around it, whose loop sleeps to its end."""
    config.load()
    state = ServerState()
    listener = listen("127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: config.http_protocol_class(config, state, {}), sock=listener)  # type: ignore[call-arg]
    try:
        yield listener.getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.gather(*state.tasks, return_exceptions=True)
