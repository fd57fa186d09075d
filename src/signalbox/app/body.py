"""How much of a request body the hub's own routes and doors take."""

from collections.abc import Iterable

from starlette.exceptions import HTTPException

from signalbox.core.asgi import Message, Receive
from signalbox.core.errors import TooLargeError


class BodyTooLargeError(TooLargeError):
    """The body is larger than is taken here."""

    code = "body_too_large"


def declared_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """What ``Content-Length`` says; 0 without one. The server has made sure that it is a number."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def check_length(length: int, limit: int) -> None:
    """Refuse a body of more than ``limit`` bytes.

    Raises:
        BodyTooLargeError: it is larger.
    """
    if length > limit:
        msg = f"the body is larger than the {limit} bytes that are taken here"
        raise BodyTooLargeError(msg)


def limited(receive: Receive, limit: int) -> Receive:
    """``receive`` for FastAPI, which passes on no other exception than HTTPException from there (status 413)."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        try:
            check_length(size, limit)
        except BodyTooLargeError as error:
            raise HTTPException(413, str(error)) from error
        return message

    return counted
