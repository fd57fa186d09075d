"""The shared intake door, as features declare it.

A door is a hot write: FastAPI answers about 9,000 requests/s where raw ASGI answers 50,000, so intake goes
through one small path of its own: check the token, decode with msgspec, run the service in a grouped
transaction, encode. ``app/doors.py`` runs doors and describes them in OpenAPI.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Connection

from signalbox.auth.principal import Principal

Body = TypeVar("Body", bound=msgspec.Struct)

MAX_BODY = 64 * 1024


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a door answers after COMMIT."""

    status: int
    body: Any
    """Encoded with msgspec."""
    location: str | None = None
    """Path of what was created."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door(Generic[Body]):
    """One durable intake operation."""

    method: str
    path: str
    """Exact path, served with and without a slash at its end."""
    scope: str
    """The scope that a caller needs."""
    body: type[Body]
    """What the request body is decoded into."""
    handle: Callable[[Connection, Body, Principal, int], Accepted]
    """The service: ``handle(tx, body, principal, now)`` in one transaction; ``now`` in microseconds UTC."""
    summary: str
    answer: type[Any]
    """Type of the answer's body, for OpenAPI."""
    status: int = 201
    """Status of success, for OpenAPI."""
    max_body: int = MAX_BODY
    """Bytes; larger bodies are refused with 413."""
    tags: tuple[str, ...] = ()
