"""Well-formed but demanding answers of an upstream, one function each, chosen by the first path segment.

Answers that break the protocol are in ``rawserver``.
"""

import gzip
import hashlib
from collections.abc import Awaitable, Callable, Mapping

from signalbox.sandbox.exchange import JSON_TYPE, Exchange

PATTERN = bytes(range(256)) * 256
"""64 KiB; byte number i of ``/bytes/{n}`` is ``i % 256``, so that a lost or repeated piece shows."""

GZIPPED = gzip.compress(b'{"gzipped":true,"filler":"' + b"a" * 1000 + b'"}', mtime=0)
"""The body of ``/gzip``, byte for byte."""

Behaviour = Callable[[Exchange], Awaitable[None]]


async def status(exchange: Exchange) -> None:
    """``/status/{code}``: that status; 200 for a code outside 200-599."""
    code = exchange.argument(default=200)
    await exchange.json(code if code in range(200, 600) else 200, {"status": code})


async def delay(exchange: Exchange) -> None:
    """``/delay/{ms}``: 200 after that many milliseconds, unless the client goes first."""
    if await exchange.pause(exchange.argument() / 1000):
        await exchange.json(200, {"delayed_ms": exchange.argument()})


async def count_bytes(exchange: Exchange) -> None:
    """``/bytes/{n}``: n bytes of a known pattern with a Content-Length."""
    left = exchange.argument()
    await exchange.start(200, [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % left)])
    while left > len(PATTERN):
        await exchange.write(PATTERN)
        left -= len(PATTERN)
        if not await exchange.pause(0):
            return
    await exchange.write(PATTERN[:left], more=False)


async def stream(exchange: Exchange) -> None:
    """``/stream/{n}/{ms}``: n chunks without a Content-Length, ``ms`` milliseconds apart (default 0)."""
    await exchange.start(200, [(b"content-type", b"text/plain")])
    for number in range(exchange.argument()):
        await exchange.write(b"chunk %d\n" % number)
        if not await exchange.pause(exchange.argument(2) / 1000):
            return
    await exchange.write(b"", more=False)


async def echo(exchange: Exchange) -> None:
    """``/echo``, ``/anything/...``: what arrived, as JSON; the body as its length and SHA-256."""
    digest, length = hashlib.sha256(), 0
    async for piece in exchange.body():
        digest.update(piece)
        length += len(piece)
    await exchange.json(
        200,
        {
            "method": exchange.method,
            "raw_path": exchange.raw_path.decode("latin-1"),
            "query_string": exchange.query_string.decode("latin-1"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in exchange.headers],
            "body_length": length,
            "body_sha256": digest.hexdigest(),
        },
    )


async def cookies(exchange: Exchange) -> None:
    """``/cookies``: two Set-Cookie lines."""
    lines = [(b"set-cookie", b"session=abc; Path=/; HttpOnly"), (b"set-cookie", b"theme=dark; Path=/")]
    await exchange.json(200, {"cookies": len(lines)}, lines)


async def redirect(exchange: Exchange) -> None:
    """``/redirect``: 302 to a category."""
    await exchange.answer(302, b"", [(b"location", b"/categories/MLA1")])


async def gzipped(exchange: Exchange) -> None:
    """``/gzip``: a body that is already encoded; a proxy must pass these bytes on."""
    await exchange.answer(200, GZIPPED, [JSON_TYPE, (b"content-encoding", b"gzip")])


BEHAVIOURS: Mapping[str, Behaviour] = {
    "status": status,
    "delay": delay,
    "bytes": count_bytes,
    "stream": stream,
    "echo": echo,
    "anything": echo,
    "cookies": cookies,
    "redirect": redirect,
    "gzip": gzipped,
}
