"""Types of the ASGI interface (version 3), and how an expected failure is answered there."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple, Protocol

from signalbox.core.errors import SignalboxError

Headers = list[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

EMPTY_QUERY = "signalbox.empty_query"
"""Extension in the scope of a request whose target ends with ``?``, which ASGI cannot tell from one without."""

WHOLE_ANSWER = "signalbox.whole_answer"
"""Extension: a message of this type is a whole answer, with ``status``, ``headers`` and ``body``; one for two."""

TAKE_OVER = "signalbox.take_over"
"""Extension of a request that asks for WebSocket: a function of the headers of a 101 answer that sends it and hands
the connection over, as ``TakenOver``."""

DROP_IF_GONE = "signalbox.drop_if_gone"
"""Extension: a function that drops the connection if the client has left, and tells whether it did. While an
application takes no more of a request body, nobody else looks."""


class TakenOver(NamedTuple):
    """A connection that carries no more HTTP. Its reading is paused until the new protocol resumes it."""

    transport: asyncio.Transport
    early: bytes
    """What has come behind the head already."""
    on_lost: Callable[[], None]
    """To be called once when the connection is gone."""


class ErrorResponder(Protocol):
    """Answers a raw ASGI request with an error as problem details; ``app`` supplies it."""

    async def __call__(
        self, send: Send, error: SignalboxError, *, request_id: bytes | None = None, close: bool = False
    ) -> int:
        """Send the answer and return its status; ``close`` ends the connection, for unread request bodies."""
        ...


class Turn(Protocol):
    """A request that its application may serve without a task, which costs as much as a good part of a small call."""

    def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Send an answer whose body is at hand; nobody waits for the client to take it."""
        ...

    def run(self, app: AsgiApp) -> None:
        """Serve the request by a task after all."""
        ...

    def fail(self) -> None:
        """Log the exception that is being handled, and tell the client, where it was not answered yet."""
        ...


Begin = Callable[[Scope, Turn], bool]
"""What an application may have as ``begin``: serve a request without a task, by one of the two methods of its turn, now
or later. False where it did nothing: then the application is called as usual."""


def answer(
    scope: Scope, send: Send, *, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> Awaitable[None]:
    """Send an answer whose body is at hand, in one message where the server takes it; ``headers`` are complete."""
    if WHOLE_ANSWER in scope.get("extensions", ()):
        return send({"type": WHOLE_ANSWER, "status": status, "headers": headers, "body": body})
    return _answer_in_parts(send, status, headers, body)


async def _answer_in_parts(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def until_gone(receive: Receive) -> None:
    """Return when the client has left, or has its answer; what is left of the request's body is thrown away."""
    while (await receive())["type"] != "http.disconnect":
        pass
