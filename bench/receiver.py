"""Where notifications arrive, and the clients that cause them: one event loop, so one clock, on the load's core."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_MARK = re.compile(rb"\((\w+-\d+)\)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"
_TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"
NUMBERED = b"/in/"
HANGING = b"/hang"
"""Below it requests are read and never answered."""


@dataclass
class Receiver:
    """Answers every POST with 204, and remembers what came: texts bear a mark such as ``(run-17)``."""

    url: str = ""
    arrivals: dict[str, float] = field(default_factory=dict)
    """When each mark came first, by ``time.perf_counter``."""
    numbered: int = 0
    """Requests to paths such as ``/in/7``, of endpoints that are told apart."""
    on_arrival: Callable[[], None] | None = None

    def take(self, head: bytes, body: bytes) -> bytes:
        """Note one request; the answer, which is empty where there is none."""
        path = head.split(b" ", 2)[1]
        if path.startswith(HANGING):
            return b""
        found = _MARK.search(body)
        if found is not None:
            self.arrivals.setdefault(found[1].decode(), time.perf_counter())
        self.numbered += path.startswith(NUMBERED)
        if self.on_arrival is not None:
            self.on_arrival()
        return _TAKEN

    async def until(self, done: Callable[[], bool], *, within: float) -> None:
        """Wait for a condition, which is looked at after each arrival.

        Raises:
            TimeoutError: it does not come true within so many seconds.
        """
        there = asyncio.Event()
        self.on_arrival = lambda: there.set() if done() else None
        try:
            if not done():
                async with asyncio.timeout(within):
                    await there.wait()
        finally:
            self.on_arrival = None


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Listen on a port of loopback."""
    receiver = Receiver()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Incoming(receiver), "127.0.0.1", 0, backlog=1024)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        server.close()


class _Incoming(asyncio.Protocol):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver, self._buffer = receiver, b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # uvloop's is no asyncio.Transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(_END)) >= 0:
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            whole = end + len(_END) + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + len(_END) : whole], self._buffer[whole:]
            answer = self._receiver.take(head, body)
            if answer:
                self._transport.write(answer)


class Client:
    """Asks for assistance over connections that stay open; as many as are needed at once."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            + (f"Token: {token}\r\n" if token else "")
            + "Content-Length: "
        ).encode()
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, mark: str) -> None:
        """Have a message sent that bears the mark.

        Raises:
            RuntimeError: it was not accepted.
        """
        text = f"({mark}) Somebody would like to be called back."
        body = json.dumps({"topic": "sales", "description": text, "customer": "c1", "metadata": {"order": 1}}).encode()
        reader, writer = self._free.pop() if self._free else await asyncio.open_connection(self._host, self._port)
        writer.write(self._head + b"%d\r\n\r\n" % len(body) + body)
        head = await reader.readuntil(_END)
        length = _LENGTH.search(head)
        answer = await reader.readexactly(int(length[1]) if length else 0)
        if not head.startswith(b"HTTP/1.1 202"):
            msg = f"not accepted: {head.splitlines()[0]!r} {answer[:300]!r}"
            raise RuntimeError(msg)
        self._free.append((reader, writer))

    async def ask_at_rate(self, prefix: str, *, rate: float, count: int) -> dict[str, float]:
        """Ask ``count`` times, due at a constant rate whatever the answers do; when each mark was due."""
        start, due = time.perf_counter() + 0.05, dict[str, float]()
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                mark, at = f"{prefix}-{number}", start + number / rate
                await asyncio.sleep(at - time.perf_counter())
                due[mark] = at
                group.create_task(self.ask(mark))
        return due

    def close(self) -> None:
        """Close the connections."""
        for _, writer in self._free:
            writer.close()
