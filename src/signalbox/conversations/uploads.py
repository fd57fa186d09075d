"""``POST /api/conversations/imports``: a zip file, kept in pieces in the database until a job imports it."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from signalbox.auth import audit
from signalbox.auth.doors import Parameter, Poll
from signalbox.auth.principal import Principal
from signalbox.auth.scopes import MANAGER
from signalbox.conversations import importing, jobs, store
from signalbox.conversations.errors import InvalidDatasetError
from signalbox.conversations.filters import parse_query, to_flag
from signalbox.conversations.polls import PATH
from signalbox.conversations.settings import ConversationSettings
from signalbox.core.asgi import Receive, Scope, Send, answer
from signalbox.core.errors import SignalboxError, TooLargeError
from signalbox.infra.context import Context

_START: Final = b"PK"


class Accepted(msgspec.Struct, frozen=True):
    """An import that will be done."""

    id: int
    status: str


class BrokenUploadError(InvalidDatasetError):
    """The client left before its file was whole."""

    code = "broken_upload"


class Intake:
    """One zip file on its way into the database, for whoever receives it: ``begin``, ``add`` as often as there is some, ``end``.

    Where one of them raises, ``fail`` is to be called.
    """

    def __init__(self, context: Context, settings: ConversationSettings) -> None:
        self._context, self._settings = context, settings
        self._waiting, self._size, self._piece = bytearray(), 0, 0
        self.number = 0
        """Of the import, from ``begin`` on."""

    async def begin(self, actor: str, *, forced: bool, request_id: str | None = None) -> None:
        """Write down that there will be an import."""
        self.number = await self._write(_begin, actor, forced=forced, request_id=request_id)

    async def add(self, data: bytes, *, more: bool = True) -> None:
        """Take some bytes; ``more``: there may be others.

        Raises:
            TooLargeError: there are too many.
            InvalidDatasetError: they are no zip file.
            ImportEndedError: the import was given up meanwhile.
        """
        self._waiting += data
        self._size += len(data)
        self._check(more=more)
        while len(self._waiting) >= store.PIECE or (self._waiting and not more):
            piece = bytes(self._waiting[: store.PIECE])
            await self._write(_add_piece, self.number, self._piece, piece)
            del self._waiting[: store.PIECE]
            self._piece += 1

    async def end(self) -> None:
        """Have it imported.

        Raises:
            InvalidDatasetError: it is no zip file.
            ImportEndedError: the import was given up meanwhile.
        """
        await self.add(b"", more=False)
        await self._write(jobs.enqueue, self.number)

    async def fail(self, reason: str) -> None:
        """Write down that nothing will come of it."""
        await self._write(importing.fail, self.number, reason)

    async def _write(self, fn: Callable[..., Any], *args: Any, **more: Any) -> Any:
        return await self._context.db.write(fn, *args, **more, now=self._context.clock.now())

    def _check(self, *, more: bool) -> None:
        if self._size > self._settings.max_upload:
            msg = f"the file is larger than {self._settings.max_upload} bytes (conversations.max_upload)"
            raise TooLargeError(msg)
        known = len(self._waiting) >= len(_START) or not more
        if self._piece == 0 and known and not self._waiting.startswith(_START):
            msg = "the body is no zip file; send the file itself, as with curl --data-binary @data.zip"
            raise InvalidDatasetError(msg)


class Uploads:
    """Takes zip files."""

    def __init__(self, context: Context, settings: ConversationSettings) -> None:
        self._context, self._settings = context, settings

    def poll(self) -> Poll:
        """Its declaration."""
        return Poll(
            method="POST",
            path=f"{PATH}/imports",
            scope=MANAGER,
            handle=self.take,
            summary="Import a data set: the body is a zip file",
            answer=Accepted,
            parameters=(Parameter("force", "query", "`true`: take folders without `_SUCCESS` too.", "boolean"),),
            status=202,
            responses={400: "The body is no zip file", 409: "It was given up meanwhile", 413: "The file is too large"},
            tags=("conversations",),
        )

    async def take(self, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
        """Store the file, then answer 202 with the place to look at."""
        forced = to_flag(parse_query(scope["query_string"], ("force",)), "force")
        intake = Intake(self._context, self._settings)
        await intake.begin(principal.actor, forced=forced, request_id=scope["state"]["request_id"])
        try:
            await _receive(intake, receive)
        except SignalboxError as error:
            await intake.fail(str(error))
            raise
        body = msgspec.json.encode(Accepted(intake.number, "queued"))
        place = f"{scope.get('root_path', '')}{PATH}/imports/{intake.number}".encode("latin-1")
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"location", place)]
        await answer(scope, send, status=202, headers=headers, body=body)


async def _receive(intake: Intake, receive: Receive) -> None:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            msg = "the client left before its file was whole"
            raise BrokenUploadError(msg)
        more = message.get("more_body", False)
        await intake.add(message.get("body", b""))
    await intake.end()


def _begin(tx: Connection, actor: str, *, forced: bool, request_id: str | None, now: int) -> int:
    number = store.add_import(tx, source="upload", actor=actor, forced=forced, state="loading", now=now)
    audit.record(
        tx,
        actor=actor,
        action="conversations.import",
        target=str(number),
        before=None,
        after=None,
        at=now,
        request_id=request_id,
    )
    return number


def _add_piece(tx: Connection, number: int, piece: int, data: bytes, *, now: int) -> None:
    """Keep a piece, and note that the import is alive: a slow client may take hours."""
    store.change_loading(tx, number, now=now)
    store.add_upload(tx, number, piece, data)
