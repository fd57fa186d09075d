"""A small client for apps that report and follow levels; it needs nothing but Python.

    from signalbox.client import Client

    client = Client("https://hub.example.com", token="sbx_...")
    client.follow(lambda change: print(change.level))

``AsyncClient`` is the same for asyncio.
"""

from signalbox.client.aio import AsyncClient
from signalbox.client.errors import ClientError, RefusedError, UnreachableError
from signalbox.client.messages import Change, Kept
from signalbox.client.sync import Client

__all__ = ["AsyncClient", "Change", "Client", "ClientError", "Kept", "RefusedError", "UnreachableError"]
