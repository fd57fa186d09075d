"""What an upstream can do wrong, or rightly but unexpectedly: one entry per first path segment in ``MISBEHAVIOURS``.

A behaviour gets the wire after the request head has been read, and returns whether the connection stays open.
Section numbers are of RFC 9112 (HTTP/1.1) and RFC 9110 (HTTP semantics).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from signalbox.sandbox.wire import Wire

Misbehaviour = Callable[[Wire], Awaitable[bool]]

OK = b"HTTP/1.1 200 OK\r\n"
FINE = OK + b"Content-Length: 5\r\n\r\nfine\n"
BETWEEN_BYTES = 0.05
"""Seconds between two bytes of a slow answer."""

BETWEEN_READS = 0.01
"""Seconds between two reads of a slow reader."""


async def fine(wire: Wire) -> bool:
    """Read the body, answer 200 ``fine``, keep the connection."""
    await wire.read_body()
    await wire.send(FINE)
    return True


def says(answer: bytes) -> Misbehaviour:
    """Read the body, write exactly these bytes and close."""

    async def say(wire: Wire) -> bool:
        await wire.read_body()
        await wire.send(answer)
        return False

    return say


async def close(wire: Wire) -> bool:
    """Close without a word, the body unread."""
    del wire
    return False


async def reset(wire: Wire) -> bool:
    """RST without a word."""
    wire.reset()
    return False


async def reset_body(wire: Wire) -> bool:
    """Announce 100,000 bytes, send 10, wait until they have left, then RST."""
    await wire.send(OK + b"Content-Length: 100000\r\n\r\n0123456789")
    await asyncio.sleep(BETWEEN_BYTES)
    wire.reset()
    return False


async def never(wire: Wire) -> bool:
    """Answer nothing, for as long as the client stays."""
    while await wire.reader.read(65_536):
        pass
    return False


async def stall(wire: Wire) -> bool:
    """Send half of the announced body, then nothing for as long as the client stays."""
    await wire.send(OK + b"Content-Length: 10\r\n\r\nhalf:")
    return await never(wire)


async def slow(wire: Wire) -> bool:
    """Send a good answer, head and body, one byte at a time."""
    await wire.read_body()
    for position in range(len(FINE)):
        await wire.send(FINE[position : position + 1])
        await asyncio.sleep(BETWEEN_BYTES)
    return True


async def interim(wire: Wire) -> bool:
    """100 Continue, whether asked for or not, then 200 (9110, 15.2.1)."""
    await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await fine(wire)


async def hints(wire: Wire) -> bool:
    """Two interim 103 answers, then 200 (9110, 15.2)."""
    await wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n" * 2)
    return await fine(wire)


async def early(wire: Wire) -> bool:
    """Send the whole answer before the body is read; then read the body and keep the connection."""
    await wire.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno.\n")
    await wire.read_body()
    return True


async def early_close(wire: Wire) -> bool:
    """Send the whole answer before the body is read; close with the body unread, half a second later."""
    await wire.send(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\nbig.\n")
    await asyncio.sleep(0.5)
    return False


async def slow_read(wire: Wire) -> bool:
    """``/slow-read/{n}``: read the body at about n bytes/s (default 1 MB/s), then answer."""
    asked = wire.call.segments[1:2]
    rate = int(asked[0]) if asked and asked[0].isdigit() else 1_000_000
    async for _ in wire.body(max(1, int(rate * BETWEEN_READS))):
        await asyncio.sleep(BETWEEN_READS)
    await wire.send(FINE)
    return True


async def stale(wire: Wire) -> bool:
    """Promise to keep the connection, then close it right after the answer."""
    await fine(wire)
    return False


async def reuse(wire: Wire) -> bool:
    """Answer the first request of a connection; close without a word at the second."""
    return wire.call.number == 1 and await fine(wire)


MISBEHAVIOURS: Mapping[str, Misbehaviour] = {
    # nothing, or nothing in time
    "close": close,
    "reset": reset,
    "never": never,
    "stall": stall,
    "slow": slow,
    "slow-read": slow_read,
    # a head that no client may accept
    "garbage": says(b"this is not HTTP\r\n\r\n"),
    "bad-length": says(OK + b"Content-Length: five\r\n\r\nfine\n"),
    "negative-length": says(OK + b"Content-Length: -5\r\n\r\nfine\n"),
    "two-lengths": says(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nfine\n"),
    "length-and-chunked": says(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfine\n\r\n0\r\n\r\n"),
    "signed-length": says(OK + b"Content-Length: +5\r\n\r\nfine\n"),
    "bare-lf": says(OK + b"X-A: b\nContent-Length: 5\r\n\r\nfine\n"),
    "folded": says(OK + b"X-A: b\r\n c\r\nContent-Length: 5\r\n\r\nfine\n"),
    "space-before-colon": says(OK + b"Content-Length : 5\r\n\r\nfine\n"),
    "nul": says(OK + b"X-A: b\0c\r\nContent-Length: 5\r\n\r\nfine\n"),
    "switch": says(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00"),
    "bad-header": says(OK + b"no colon here\r\nContent-Length: 5\r\n\r\nfine\n"),
    "huge-head": says(OK + b"X-Filler: " + b"a" * 2_000_000 + b"\r\nContent-Length: 5\r\n\r\nfine\n"),
    "half-head": says(b"HTTP/1.1 200 OK\r\nContent-Le"),
    # a body that ends wrongly
    "cut": says(OK + b"Content-Length: 100000\r\n\r\n0123456789"),
    "cut-chunked": says(OK + b"Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"),
    "bad-chunk": says(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nfine\n\r\n0\r\n\r\n"),
    "big-chunk": says(OK + b"Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nfine\n\r\n0\r\n\r\n"),
    "lf-chunk": says(OK + b"Transfer-Encoding: chunked\r\n\r\n5\nfine\n\r\n0\r\n\r\n"),
    "reset-body": reset_body,
    "extra": says(FINE + b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npoison\n"),
    # right, but rarely met
    "eof": says(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end\n"),
    "cookies": says(OK + b"Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2, c=3\r\nContent-Length: 0\r\n\r\n"),
    "trailers": says(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfine\n\r\n0\r\nX-Check: yes\r\n\r\n"),
    "continue": interim,
    "hints": hints,
    "no-body": says(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nfine\n"),
    "early": early,
    "early-close": early_close,
    "stale": stale,
    "reuse": reuse,
}
