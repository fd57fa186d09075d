"""Expected failures as HTTP answers: RFC 9457 problem details with a stable ``code``."""

import json
import math
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from signalbox.core import errors
from signalbox.core.asgi import Send

MEDIA_TYPE = "application/problem+json"

_CODES = {404: "not_found", 413: "body_too_large"}
"""Codes of what FastAPI refuses by itself."""


class MethodNotAllowedError(errors.SignalboxError):
    """The path exists, and is not asked like this; ``allowed`` are the methods that are."""

    code = "method_not_allowed"

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        self.allowed = ", ".join(sorted(allowed))
        super().__init__(f"the method {method} is not allowed here; allowed are {self.allowed}")


class InternalError(errors.SignalboxError):
    """Something unexpected; the caller learns nothing of it, the log everything."""

    code = "internal_error"

    def __init__(self) -> None:
        super().__init__("something failed that should not have; the log says what")


_FAMILIES: tuple[tuple[type[errors.SignalboxError], int, str], ...] = (
    (errors.UnauthenticatedError, 401, "Unauthorized"),
    (errors.ForbiddenError, 403, "Forbidden"),
    (errors.NotFoundError, 404, "Not Found"),
    (MethodNotAllowedError, 405, "Method Not Allowed"),
    (errors.ConflictError, 409, "Conflict"),
    (errors.TooLargeError, 413, "Content Too Large"),
    (errors.TooManyError, 429, "Too Many Requests"),
    (errors.BadGatewayError, 502, "Bad Gateway"),
    (errors.UnavailableError, 503, "Service Unavailable"),
    (errors.GatewayTimeoutError, 504, "Gateway Timeout"),
    (errors.UnprocessableError, 422, "Unprocessable Content"),
    (errors.InvalidError, 400, "Bad Request"),
)


class FieldProblem(BaseModel):
    """One wrong field."""

    field: str
    message: str


class Problem(BaseModel):
    """What every error is answered with, as ``application/problem+json``."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    """Stable name of the failure."""
    errors: list[FieldProblem] = []
    """Wrong fields of the request."""


def status_of(error: errors.SignalboxError) -> tuple[int, str]:
    """HTTP status and title of an error's family."""
    return next(
        ((status, title) for kind, status, title in _FAMILIES if isinstance(error, kind)),
        (500, "Internal Server Error"),
    )


def problem(error: errors.SignalboxError) -> dict[str, Any]:
    """The body of the answer: ``title``, ``status``, ``detail``, ``code``, and ``errors`` for wrong fields."""
    status, title = status_of(error)
    body = {"type": "about:blank", "title": title, "status": status, "detail": str(error), "code": error.code}
    if isinstance(error, errors.UnprocessableError):
        body["errors"] = [{"field": fault.where, "message": fault.message} for fault in error.faults]
    return body


def headers_of(error: errors.SignalboxError) -> dict[str, str]:
    """Headers that belong to an error besides its body."""
    own = {name.decode().title(): value.decode() for name, value in error.headers}
    if isinstance(error, errors.UnauthenticatedError):
        own["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.RetryableError):
        own["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, MethodNotAllowedError):
        own["Allow"] = error.allowed
    return own


async def respond(
    send: Send, error: errors.SignalboxError, *, request_id: bytes | None = None, close: bool = False
) -> int:
    """Answer a raw ASGI request; see ``core.asgi.ErrorResponder``."""
    body = json.dumps(problem(error)).encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in headers_of(error).items()]
    if request_id:  # as the gateway has it; all else is stamped by the front, with a date too
        headers += [(b"date", formatdate(usegmt=True).encode()), (b"x-request-id", request_id)]
    if close:
        headers.append((b"connection", b"close"))
    status, _ = status_of(error)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return status


def install(app: FastAPI) -> None:
    """Answer FastAPI's own errors in the same form."""

    @app.exception_handler(errors.SignalboxError)
    async def expected(_request: Request, error: errors.SignalboxError) -> JSONResponse:
        return _json(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return _json(errors.UnprocessableError(_faults(error.errors())))

    @app.exception_handler(HTTPException)
    async def other(_request: Request, error: HTTPException) -> JSONResponse:
        code, title = _CODES.get(error.status_code, "error"), HTTPStatus(error.status_code).phrase
        body = {"type": "about:blank", "title": title, "status": error.status_code, "detail": error.detail}
        return JSONResponse({**body, "code": code}, error.status_code, headers=error.headers, media_type=MEDIA_TYPE)

    @app.exception_handler(Exception)
    async def unexpected(_request: Request, _error: Exception) -> JSONResponse:
        return _json(InternalError())


def _json(error: errors.SignalboxError) -> JSONResponse:
    status, _ = status_of(error)
    return JSONResponse(problem(error), status, headers=headers_of(error), media_type=MEDIA_TYPE)


def _faults(details: Sequence[Any]) -> list[errors.Fault]:
    return [
        errors.Fault(".".join(str(part) for part in detail["loc"] if part not in ("body", "query")), detail["msg"])
        for detail in details
    ]
