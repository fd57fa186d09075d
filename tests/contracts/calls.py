"""What the tests of ``HttpClient`` ask with, and how they read what comes back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from signalbox.infra.http import (
    HttpClient,
    Request,
    Response,
    parse_origin,
    read_all,
)
from signalbox.sandbox.rawserver import RawUpstream
from signalbox.sandbox.server import LoopbackServer
from tests.contracts.peer import Peer

MANY = 40_000_000
"""Bytes, far more than the kernel and the client hold for a reader that does not read."""

HELD = 12_000_000
"""What the kernel may hold between two ends on loopback, with room to spare."""


def to(where: RawUpstream | LoopbackServer | Peer, target: str = "/", method: str = "GET", **more: Any) -> Request:
    origin = where.origin if isinstance(where, Peer) else parse_origin(where.url)[0]
    return Request(origin, method.encode(), target.encode(), **more)


async def get_all(client: HttpClient, request: Request) -> tuple[int, bytes]:
    response = await client.send(request)
    return response.status, await read_all(response)


async def pieces_of(response: Response) -> AsyncIterator[bytes]:
    while piece := await response.read():
        yield piece


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)
