"""HTTP/1.1 for the asyncio client: as much of it as the hub, and proxies before it, speak (RFC 9112)."""

import asyncio
import ssl
from collections.abc import Mapping

from signalbox.client.messages import Request, Response

MAX_HEAD = 64 * 1024
MAX_BODY = 1024 * 1024
"""Bytes."""

_OK, _NO_CONTENT, _NOT_MODIFIED = 200, 204, 304


class BrokenError(Exception):
    """What came is no answer."""


class Connection:
    """One connection, for one request after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str) -> None:
        self._reader, self._writer, self._authority = reader, writer, authority
        self.reusable = True
        """Whether another request may be sent."""

    @classmethod
    async def open(cls, host: str, port: int, *, authority: str, tls: ssl.SSLContext | None) -> "Connection":
        """Connect.

        Raises:
            OSError: that does not work.
        """
        reader, writer = await asyncio.open_connection(host, port, ssl=tls, limit=MAX_HEAD)
        return cls(reader, writer, authority)

    async def send(self, request: Request) -> Response:
        """Send a request and take its answer.

        Raises:
            OSError, EOFError, BrokenError: the connection broke, or what came is no answer.
        """
        self.reusable = False
        self._writer.write(_encode(request, self._authority))
        await self._writer.drain()
        status, headers = await self._head()
        body = await self._body(status, headers)
        self.reusable = headers.get("connection", "").lower() != "close" and _is_framed(status, headers)
        return Response(status, headers, body)

    def close(self) -> None:
        """Let it go."""
        self._writer.close()

    async def _head(self) -> tuple[int, dict[str, str]]:
        """Status and headers; interim answers are passed over."""
        while True:
            try:
                lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
                status = int(lines[0].split(" ", 2)[1])
            except (asyncio.LimitOverrunError, ValueError, IndexError) as error:
                msg = "the head of the answer is too long, or none"
                raise BrokenError(msg) from error
            if status >= _OK:
                pairs = (line.partition(":") for line in lines[1:])
                return status, {name.strip().lower(): value.strip() for name, _, value in pairs}

    async def _body(self, status: int, headers: Mapping[str, str]) -> bytes:
        if status in {_NO_CONTENT, _NOT_MODIFIED}:
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks()
        length = headers.get("content-length")
        if length is None:
            return _checked(await self._reader.read(MAX_BODY + 1))
        return await self._reader.readexactly(_size(length, 10))

    async def _chunks(self) -> bytes:
        body = b""
        while size := _size((await self._reader.readuntil(b"\r\n")).split(b";")[0].decode("latin-1").strip(), 16):
            body = _checked(body + await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return body


def _is_framed(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the end of the body is known by other means than the end of the connection."""
    return status in {_NO_CONTENT, _NOT_MODIFIED} or bool(headers.keys() & {"content-length", "transfer-encoding"})


def _encode(request: Request, authority: str) -> bytes:
    headers = {"Host": authority, **request.headers}
    if request.method != "GET":
        headers["Content-Length"] = str(len(request.body))
    lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any(end in line for line in lines for end in "\r\n"):
        msg = "a token or the name of an app holds a line end"
        raise ValueError(msg)
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body


def _size(text: str, base: int) -> int:
    try:
        size = int(text, base)
    except ValueError as error:
        msg = f"{text[:20]!r} is no length"
        raise BrokenError(msg) from error
    if not 0 <= size <= MAX_BODY:
        msg = f"the answer is longer than {MAX_BODY} bytes"
        raise BrokenError(msg)
    return size


def _checked(body: bytes) -> bytes:
    _size(str(len(body)), 10)
    return body
