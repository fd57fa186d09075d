"""Clients of asks: all apps once, a thousand that wait for a change, and many that come by now and then."""

import asyncio
import datetime as dt
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

AT_ONCE = 32
"""Connections over which all apps ask in turn."""
WAIT = 60
"""Seconds for which an app waits for a change: longer than a measurement."""
PATIENCE = 30.0
"""Seconds by which whatever was asked must be answered."""


Answer = tuple[bytes, float]
"""A body, and when it came on ``time.perf_counter``."""
Answers = list[asyncio.Future[Answer]]


class Line(asyncio.Protocol):
    """A connection over which one request at a time is sent; it notes when its answer came."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._came = b""
        self._answered: asyncio.Future[Answer] = self._loop.create_future()

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Note the moment at which an answer is whole; it always says its length."""
        self._came += data
        head, end, body = self._came.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            self._came = b""
            self._settle(head, body)

    def connection_lost(self, _error: Exception | None) -> None:
        """Whoever waits for an answer waits in vain."""
        if not self._answered.done():
            self._answered.set_exception(ConnectionError("the server ended the connection"))
            self._answered.exception()  # it is no news where nobody waits

    def send(self, request: bytes) -> asyncio.Future[Answer]:
        """Send a request; the future's result is the body of its answer, and when that came."""
        self._answered = self._loop.create_future()
        self.transport.write(request)
        return self._answered

    def _settle(self, head: bytes, body: bytes) -> None:
        if self._answered.done():
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            self._answered.set_exception(RuntimeError(f"{head!r} {body!r}"))
        else:
            self._answered.set_result((body, time.perf_counter()))


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    msg = f"no length in {head!r}"
    raise RuntimeError(msg)


async def open_line(url: str) -> Line:
    """Connect to the server of an address."""
    there = urlsplit(url)
    _, line = await asyncio.get_running_loop().create_connection(Line, there.hostname or "", there.port or 80)
    return line


def get(url: str, token: str, *, last: bool = False) -> bytes:
    """Return an ask; ``last``: nothing more is sent on its connection."""
    there = urlsplit(url)
    target = there.path + (f"?{there.query}" if there.query else "")
    close = "Connection: close\r\n" if last else ""
    return f"GET {target} HTTP/1.1\r\nHost: {there.netloc}\r\nToken: {token}\r\n{close}\r\n".encode()


async def post(url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> float:
    """Send JSON over a connection of its own; returns when it was sent."""
    line, there, content = await open_line(url), urlsplit(url), json.dumps(body)
    lines = [f"POST {there.path} HTTP/1.1", f"Host: {there.netloc}", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(content)}", *(f"{name}: {value}" for name, value in headers.items())]
    sent = time.perf_counter()
    await asyncio.wait_for(line.send(("\r\n".join(lines) + "\r\n\r\n" + content).encode()), PATIENCE)
    line.transport.close()
    return sent


async def report(url: str, token: str, *, level: int) -> float:
    """Report a level as of now; returns when the report was sent."""
    now = dt.datetime.now(dt.UTC).isoformat()
    return await post(url, {"Token": token}, {"level": level, "changed_at": now})


async def number(url: str) -> int:
    """Return the number that an address answers."""
    line = await open_line(url)
    body, _ = await asyncio.wait_for(line.send(get(url, "")), PATIENCE)
    line.transport.close()
    return int(body)


async def ask_all(url: str, tokens: Sequence[str]) -> list[bytes]:
    """Let each app ask once; returns their answers, in no order."""
    waiting, found = list(tokens), []

    async def work() -> None:
        line = await open_line(url)
        while waiting:
            body, _ = await asyncio.wait_for(line.send(get(url, waiting.pop())), PATIENCE)
            found.append(body)
        line.transport.close()

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return found


@dataclass(frozen=True)
class Wave:
    """How one change reached those who waited: seconds from when its report was sent to each answer, ascending."""

    delays: list[float]
    statements: int
    """That the hub sent to its databases meanwhile, those of other things included."""


class Crowd:
    """Apps that wait for a change, each over a connection of its own."""

    def __init__(self, url: str, statements: str, tokens: Sequence[str]) -> None:
        self._url, self._statements, self._tokens = url, statements, tokens
        self._lines: list[Line] = []

    async def connect(self) -> None:
        """Connect all."""
        for start in range(0, len(self._tokens), AT_ONCE):
            some = self._tokens[start : start + AT_ONCE]
            self._lines += await asyncio.gather(*(open_line(self._url) for _ in some))

    def wait(self) -> Answers:
        """Let all ask, and wait."""
        pairs = zip(self._lines, self._tokens, strict=True)
        return [line.send(get(f"{self._url}?wait={WAIT}", token)) for line, token in pairs]

    async def wave(self, producer: str, *, level: int, settle: float) -> Wave:
        """Let all wait for ``settle`` seconds, change the level, and see when each hears of it."""
        answers = self.wait()
        await asyncio.sleep(settle)
        return await self.tell(producer, answers, level=level)

    async def tell(self, producer: str, answers: Answers, *, level: int) -> Wave:
        """Change the level for those who wait already; raises RuntimeError where somebody heard of anything else."""
        if any(answer.done() for answer in answers):
            msg = "somebody was answered before anything had changed"
            raise RuntimeError(msg)
        before = await number(self._statements)
        sent = await report(self._url, producer, level=level)
        heard = await asyncio.wait_for(asyncio.gather(*answers), PATIENCE)
        if any(b'"level":%d' % level not in body for body, _ in heard):
            msg = "somebody was told of something else"
            raise RuntimeError(msg)
        return Wave(sorted(came - sent for _, came in heard), await number(self._statements) - before)

    def leave(self) -> None:
        """Close all connections."""
        for line in self._lines:
            line.transport.close()


async def come_by(url: str, tokens: Sequence[str], *, rate: float, seconds: float) -> int:
    """Let apps ask ``rate`` times a second, one after the other, each over a new connection; returns the asks.

    They come independently of each other, so the gaps between them are exponential.
    """
    dice, loop = random.Random(), asyncio.get_running_loop()
    due = started = loop.time()
    tasks: list[asyncio.Task[None]] = []
    while due - started < seconds:
        await asyncio.sleep(max(0.0, due - loop.time()))
        tasks.append(asyncio.create_task(_ask_once(url, tokens[len(tasks) % len(tokens)])))
        due += dice.expovariate(rate)
    await asyncio.gather(*tasks)
    return len(tasks)


async def _ask_once(url: str, token: str) -> None:
    line = await open_line(url)
    body, _ = await asyncio.wait_for(line.send(get(url, token, last=True)), PATIENCE)
    line.transport.close()
    if body != b"{}":
        msg = f"told {body!r}, though nothing has changed"
        raise RuntimeError(msg)
