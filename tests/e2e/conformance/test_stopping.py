"""A hub that stops while connections are open that would stay for ever: WebSockets, streams, silent clients."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from tests.e2e.conftest import Shop
from tests.support.hub import request
from tests.support.processes import Server, serving
from tests.support.timing import PATIENCE


class Chat:
    """A WebSocket server in threads of its own."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        """Set when a connection has ended."""
        self._server = serve(self._serve, "127.0.0.1", 0, close_timeout=1, compression=None, max_size=None)
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def _serve(self, chat: ServerConnection) -> None:
        try:
            for message in chat:
                chat.send(message)
                if message == "flood":
                    while True:
                        chat.send("x" * 100_000)
        except ConnectionClosed:
            pass
        finally:
            self.ended.set()

    @contextmanager
    def run(self) -> Iterator["Chat"]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        yield self
        self._server.shutdown()
        thread.join()


@pytest.fixture
def chat() -> Iterator[Chat]:
    with Chat().run() as made:
        yield made


LONG = 15.0
"""Seconds that a server has to end in where nothing holds it up, on a machine that halts."""


def before(chat: Chat, *, drain_timeout: str) -> dict[str, str]:
    """The variables of a hub before it."""
    upstreams = [{"name": "chat", "url": chat.url, "prefix": "/"}]
    return {"SIGNALBOX_GATEWAY__UPSTREAMS": json.dumps(upstreams), "SIGNALBOX_DRAIN_TIMEOUT": drain_timeout}


def address(server: Server) -> tuple[str, int]:
    parts = urlsplit(server.url)
    return parts.hostname or "", parts.port or 0


def talking(server: Server) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{address(server)[1]}/chat", proxy=None, compression=None, close_timeout=1)


def stopped_within(server: Server, seconds: float) -> bool:
    """Stop it by SIGTERM; whether it ended well, and in time."""
    begun = time.monotonic()
    return server.end(signal.SIGTERM) == 0 and time.monotonic() - begun < seconds


def test_an_open_websocket_holds_nothing_up(chat: Chat, tmp_path: Path) -> None:
    with serving(folder=tmp_path, **before(chat, drain_timeout="60")) as server, talking(server) as client:
        client.send("hello")
        assert client.recv(PATIENCE) == "hello"
        assert stopped_within(server, LONG)
        with pytest.raises(ConnectionClosed):
            client.recv(PATIENCE)
        assert client.close_code == 1006
        assert chat.ended.wait(PATIENCE)
        assert [line["event"] for line in server.log[-2:]] == ["draining", "stopped"]
        assert [line for line in server.log if line["level"] in {"error", "critical"}] == []


def test_a_websocket_whose_client_does_not_read_holds_up_no_longer_than_calls_may(chat: Chat, tmp_path: Path) -> None:
    with serving(folder=tmp_path, **before(chat, drain_timeout="2")) as server, talking(server) as client:
        client.send("flood")
        time.sleep(1)  # every buffer on the way is full
        assert stopped_within(server, LONG)
        assert chat.ended.wait(PATIENCE)
        client.socket.close()


def test_silent_clients_hold_nothing_up(shop: Shop, tmp_path: Path) -> None:
    with serving(folder=tmp_path, **shop.variables) as server:
        sockets = [socket.create_connection(address(server)) for _ in range(3)]
        sockets[1].sendall(b"GET / HTTP/1.1\r\nHo")
        sockets[2].sendall(request(b"/healthz"))
        assert sockets[2].recv(1_000).startswith(b"HTTP/1.1 200")
        assert stopped_within(server, LONG)
        for each in sockets:
            assert each.recv(1_000) == b""
            each.close()


def test_a_refused_client_that_stays_holds_up_no_longer_than_calls_may(shop: Shop, tmp_path: Path) -> None:
    with (
        serving(folder=tmp_path, SIGNALBOX_DRAIN_TIMEOUT="5", **shop.variables) as server,
        socket.create_connection(address(server)) as client,
    ):
        client.sendall(b"nonsense\r\n\r\n")
        assert client.recv(1_000).startswith(b"HTTP/1.1 400")
        assert stopped_within(server, 4.5)
