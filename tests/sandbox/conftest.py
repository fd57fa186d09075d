"""An HTTP client that is not ours (the standard library's), and raw bytes for what it would refuse."""

import asyncio
import http.client
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from tests.support.timing import PATIENCE


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


Fetch = Callable[..., Awaitable[Answer]]
RawExchange = Callable[[str, bytes], Awaitable[bytes]]


def _fetch(url: str, method: str = "GET", body: bytes | None = None) -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    try:
        connection.putrequest(method, url.removeprefix(f"http://{parts.netloc}"), skip_accept_encoding=True)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


@pytest.fixture
def fetch() -> Fetch:
    """``await fetch(url, method="GET", body=None)`` in a thread, so that the server can live in the test's loop."""

    async def in_thread(url: str, method: str = "GET", body: bytes | None = None) -> Answer:
        return await asyncio.to_thread(_fetch, url, method, body)

    return in_thread


@pytest.fixture
def exchange() -> RawExchange:
    """``await exchange(url, data)`` sends the bytes to the host of the URL and returns all that comes back."""

    async def send(url: str, data: bytes) -> bytes:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(data)
            return await asyncio.wait_for(reader.read(), PATIENCE)
        finally:
            writer.close()

    return send
