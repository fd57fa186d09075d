"""The hub's hot paths, as features declare them: doors, which write, and polls, which answer from memory.

FastAPI answers about 9,000 requests/s where raw ASGI answers 50,000, so what is asked often goes through one small path
of its own: check the token, decode with msgspec, run the service in a grouped transaction, encode. ``app/doors.py`` and
``app/polls.py`` run them, ``app/describe.py`` describes them in OpenAPI.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, Self, TypeVar

from sqlalchemy import Connection

from signalbox.auth.principal import Principal
from signalbox.core.asgi import Receive, Scope, Send

Body = TypeVar("Body")

Headers = Sequence[tuple[bytes, bytes]]
"""As ASGI has them: names in lower case."""

MAX_BODY = 64 * 1024


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a caller may say in the query or in a header, for OpenAPI; whoever handles the request reads it."""

    name: str
    place: Literal["query", "header"]
    description: str
    kind: Literal["string", "integer", "number", "boolean"] = "string"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a door answers after COMMIT."""

    status: int
    body: Any
    """Encoded with msgspec; not sent with status 204."""
    location: str | None = None
    """Path of what was created."""
    headers: Headers = ()
    """Further headers, names in lower case; none about the body itself."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as ``prepare`` sees it before the transaction."""

    principal: Principal
    """The caller; at a door without a scope the anonymous one, whoever asks."""
    body: Any
    """Decoded as the door's ``body`` says: a value, bytes, or None."""
    path: Mapping[str, str]
    """Values of the parameters in the path."""
    query: bytes
    """As it was sent, without the question mark."""
    headers: Headers
    now: int
    """Microseconds UTC."""
    request_id: str | None
    """As in the answer's ``X-Request-ID``; None where no front has given it one."""


Prepare = Callable[[Asked], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)  # no slots: a frozen class with slots cannot be made as Door[X](...)
class Door(Generic[Body]):
    """One durable intake operation.

    A door with ``prepare`` is a ``Door[Any]``: what its service gets is not what was decoded.
    """

    method: str
    path: str
    """Exact, or with parameters as in ``/api/hooks/{name}``; served with and without a slash at its end."""
    scope: str | None
    """The scope that a caller needs. None: no token is looked at, and ``prepare`` finds out who is asking."""
    body: type[Body] | None
    """What the request body is decoded into, as msgspec does it; ``bytes`` to get it as it came, None to ignore it."""
    handle: Callable[[Connection, Body, Principal, int], Accepted]
    """The service: ``handle(tx, body, principal, now)`` in one transaction; ``now`` in microseconds UTC."""
    summary: str
    answer: Any
    """Type of the answer's body as msgspec knows it, for OpenAPI; None: it has none."""
    prepare: Prepare | None = None
    """Runs before the transaction; what it returns takes the place of ``body`` in ``handle``. It checks what a door
    without a scope must check, and takes what it needs from path, query and headers; its errors are answered."""
    idempotent: bool = False
    """Whether a request may carry an ``Idempotency-Key``; repeats then get the first answer and do nothing. The caller
    is told apart by its name, so a door without a scope cannot be idempotent."""
    parameters: Sequence[Parameter] = ()
    """What may stand in the query and in headers; those of the path are known, and ``Idempotency-Key`` too."""
    status: int = 201
    """Status of success, for OpenAPI."""
    responses: Mapping[int, str] = field(default_factory=dict)
    """Further statuses and what they mean, for OpenAPI."""
    max_body: int = MAX_BODY
    """Bytes; larger bodies are refused with 413."""
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.scope is None and (self.prepare is None or self.idempotent):
            msg = f"{self.method} {self.path} asks for no scope: it needs a prepare, and cannot be idempotent"
            raise TypeError(msg)


class Ready(NamedTuple):
    """A whole answer with status 200 that is at hand, as bytes for the wire."""

    head: bytes
    """Status line and headers, each with its line end, complete but for what every answer of the hub has."""
    body: bytes

    @classmethod
    def of(cls, headers: Headers, body: bytes) -> Self:
        """The answer with these headers, names in lower case, and the length of its body."""
        lines = [b"HTTP/1.1 200 OK", *map(b": ".join, headers), b"content-length: %d" % len(body), b""]
        return cls(b"\r\n".join(lines), body)


AtOnce = Callable[[Mapping[bytes, bytes], Mapping[str, str], Principal, int], Ready | None]
"""``at_once(headers, parameters, principal, now)``: headers by name in lower case, none of them twice, values of the
parameters in the path, microseconds UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """One operation that answers from memory, or streams: a raw ASGI endpoint behind the check of its token.

    Values of path parameters are in ``scope["path_params"]``. ``core.asgi.answer`` sends a whole answer the fastest
    way; ``core.sse`` and ``core.waiters`` are for those that wait. Errors of ``handle`` are answered as a door's are.
    """

    method: str = "GET"
    """GET is served for HEAD too."""
    path: str
    """As a door's."""
    scope: str | None
    """The scope that a caller needs. None: no token is looked at, and ``handle`` finds out who is asking."""
    handle: Callable[[Scope, Receive, Send, Principal], Awaitable[None]]
    """``await handle(scope, receive, send, principal)``; without a scope the principal is the anonymous one."""
    at_once: AtOnce | None = None
    """Asked first for a GET without a query or a body, where the caller is remembered or the poll has no scope: the
    answer if it is at hand. None leaves it all to ``handle``, as if nobody had asked. It raises nothing."""
    summary: str
    answer: Any
    """Type of the answer's body as msgspec knows it, for OpenAPI; of the data of each event of a stream. None: none."""
    media_type: str = "application/json"
    request: Mapping[str, Any] | None = None
    """What the body of a request may be, which ``handle`` reads itself: media types with their schemas, for OpenAPI."""
    parameters: Sequence[Parameter] = ()
    """What may stand in the query and in headers; those of the path are known."""
    status: int = 200
    """Status of success, for OpenAPI."""
    responses: Mapping[int, str] = field(default_factory=dict)
    """Further statuses and what they mean, for OpenAPI."""
    tags: tuple[str, ...] = ()
    hidden: bool = False
    """Whether it is left out of OpenAPI, as it is no part of the API."""
