"""An application that answers as it is told, before the protocol at the socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from uvicorn.server import ServerState

from signalbox.app.cycle import JOINED
from signalbox.app.protocol import HttpProtocol
from signalbox.app.server import listen
from signalbox.core.asgi import DROP_IF_GONE, EMPTY_QUERY, AsgiApp, Message, Receive, Scope, Send
from tests.support.hub import Answer, Client, request
from tests.support.timing import PATIENCE

Headers = list[tuple[bytes, bytes]]

ANSWERS: dict[str, tuple[int, Headers, list[bytes]]] = {
    "/length": (200, [(b"content-length", b"6")], [b"abc", b"def"]),
    "/unknown": (200, [], [b"abc", b"", b"def"]),
    "/empty": (200, [(b"content-length", b"0")], []),
    "/none": (204, [], []),
    "/unchanged": (304, [(b"etag", b'"a"')], []),
    "/large": (200, [(b"content-length", b"%d" % (2 * JOINED))], [b"x" * (2 * JOINED)]),
    "/close": (200, [(b"content-length", b"1"), (b"connection", b"close")], [b"a"]),
    "/too-long": (200, [(b"content-length", b"1")], [b"ab"]),
    "/too-short": (200, [(b"content-length", b"3")], [b"ab"]),
    "/split": (200, [(b"x-bad", b"a\r\nset-cookie: b")], []),
    "/nul": (200, [(b"x-bad", b"a\0")], []),
}
"""Status, headers and pieces of the body, by path; any other path tells what arrived."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/refuse":  # without a look at the body
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
        return
    body = await read(receive)
    status, headers, pieces = ANSWERS.get(scope["path"]) or told(scope, body)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message: Message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def told(scope: Scope, body: bytes) -> tuple[int, Headers, list[bytes]]:
    seen = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "version": scope["http_version"],
        "headers": [name.decode() for name, _ in scope["headers"]],
        "empty_query": EMPTY_QUERY in scope["extensions"],
        "gone": scope["extensions"][DROP_IF_GONE](),
        "body": body.decode(),
    }
    content = json.dumps(seen).encode()
    return 200, [(b"content-length", b"%d" % len(content))], [content]


@asynccontextmanager
async def opened(app: AsgiApp = app) -> AsyncIterator[tuple[Client, HttpProtocol]]:
    """A connection to the application: its client, and the protocol at its other end."""
    config = uvicorn.Config(
        app, ws="none", lifespan="off", interface="asgi3", log_config=None, access_log=False, proxy_headers=False
    )
    config.load()
    made: list[HttpProtocol] = []
    state, listener, loop = ServerState(), listen("127.0.0.1", 0), asyncio.get_running_loop()

    def serve() -> HttpProtocol:
        made.append(HttpProtocol(config, state, {}))
        return made[-1]

    server = await loop.create_server(serve, sock=listener)
    client = await Client.connect(listener.getsockname()[1])
    try:
        async with asyncio.timeout(PATIENCE):
            while not state.connections:
                await asyncio.sleep(0)
        yield client, made[0]
    finally:
        await client.close()
        server.close()
        for protocol in made:
            protocol.transport.abort()
        await asyncio.gather(*state.tasks, return_exceptions=True)


async def ask(client: Client, target: bytes, *, method: bytes = b"GET", headers: Headers | None = None) -> Answer:
    await client.send(request(target, method=method, headers=headers or []))
    return await client.answer(method=method)
