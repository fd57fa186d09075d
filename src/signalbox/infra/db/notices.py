"""Waiting for NOTIFY without looking: the event loop tells when the server has sent something.

The driver's own ``notifies`` wakes ten times a second to look whether somebody has interrupted it, on each connection.
"""

import asyncio
from contextlib import suppress

from psycopg import AsyncConnection, Notify


async def hear(connection: AsyncConnection, *, within: float) -> list[Notify]:
    """What a listening connection is told, as soon as there is some; nothing once ``within`` seconds have passed.

    Nothing too where the connection has ended: whoever hears nothing tries it.

    Raises:
        psycopg.Error, OSError: the connection has ended, which is not always found at once.
    """
    found = await _take(connection)
    if not found:
        await _until_readable(connection.fileno(), within)
        found = await _take(connection)
    return found


async def _take(connection: AsyncConnection) -> list[Notify]:
    """What is at hand already."""
    return [notice async for notice in connection.notifies(timeout=0)]


async def _until_readable(descriptor: int, within: float) -> None:
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await readable.wait()
    finally:
        loop.remove_reader(descriptor)
