"""``POST /api/components/import``: a file of components, larger than what other routes take."""

import asyncio
from typing import Final

import msgspec

from signalbox.auth.doors import Poll
from signalbox.auth.principal import Principal
from signalbox.core.asgi import Receive, Scope, Send, answer
from signalbox.core.errors import InvalidError, TooLargeError
from signalbox.grid.component_files import import_all, parse_rows
from signalbox.grid.doors import TAGS, WRITE
from signalbox.grid.schemas import ImportedRow
from signalbox.infra.context import Context

PATH: Final = "/api/components/import"
MAX_IMPORT: Final = 32 * 1024 * 1024
"""Bytes of a body."""

_FORMS: Final = {
    "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
    "text/csv": {"schema": {"type": "string"}},
}


def build_import_poll(context: Context) -> Poll:
    """The endpoint, which reads its body itself."""
    return Poll(
        method="POST",
        path=PATH,
        scope=WRITE,
        handle=ComponentUpload(context),
        summary="Add components or bring them up to date: a JSON array, or CSV with a line of names",
        answer=list[ImportedRow],
        request=_FORMS,
        responses={
            400: "The body is neither, or has too many rows",
            413: f"The body is over {MAX_IMPORT // 1024**2} MiB",
        },
        tags=TAGS,
    )


class ComponentUpload:
    """Takes components in; each row has its own result."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
        """Serve one request."""
        content = await _read(receive)
        rows = await asyncio.to_thread(parse_rows, content, is_csv=_is_csv(scope))
        request_id = scope["state"]["request_id"]
        results = await import_all(self._context, rows, by=principal.actor, request_id=request_id)
        body = await asyncio.to_thread(msgspec.json.encode, results)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await answer(scope, send, status=200, headers=headers, body=body)


async def _read(receive: Receive) -> bytes:
    content, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            msg = "the client left before its request was whole"
            raise InvalidError(msg)
        content += message.get("body", b"")
        more = message.get("more_body", False)
        if len(content) > MAX_IMPORT:
            msg = f"the body is over {MAX_IMPORT} bytes"
            raise TooLargeError(msg)
    return bytes(content)


def _is_csv(scope: Scope) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/csv") for name, value in scope["headers"])
