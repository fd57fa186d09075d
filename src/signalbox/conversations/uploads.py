"""``POST /api/conversations/imports``: a zip file, kept in pieces in the database until a job imports it."""

from typing import Final

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
            responses={400: "The body is no zip file", 413: "The file is too large"},
            tags=("conversations",),
        )

    async def take(self, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
        """Store the file, then answer 202 with the place to look at."""
        forced = to_flag(parse_query(scope["query_string"], ("force",)), "force")
        number = await self._context.db.write(_begin, principal.actor, forced=forced, now=self._context.clock.now())
        try:
            await self._store(number, receive)
        except SignalboxError as error:
            await self._context.db.write(importing.fail, number, str(error), now=self._context.clock.now())
            raise
        await self._context.db.write(jobs.enqueue, number, now=self._context.clock.now())
        body = msgspec.json.encode(Accepted(number, "queued"))
        place = f"{scope.get('root_path', '')}{PATH}/imports/{number}".encode("latin-1")
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"location", place)]
        await answer(scope, send, status=202, headers=headers, body=body)

    async def _store(self, number: int, receive: Receive) -> None:
        waiting, size, piece, more = bytearray(), 0, 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                msg = "the client left before its file was whole"
                raise BrokenUploadError(msg)
            waiting += message.get("body", b"")
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            self._check(size, waiting, piece, more=more)
            while len(waiting) >= store.PIECE or (waiting and not more):
                await self._context.db.write(store.add_upload, number, piece, bytes(waiting[: store.PIECE]))
                del waiting[: store.PIECE]
                piece += 1

    def _check(self, size: int, waiting: bytearray, piece: int, *, more: bool) -> None:
        if size > self._settings.max_upload:
            msg = f"the file is larger than {self._settings.max_upload} bytes (conversations.max_upload)"
            raise TooLargeError(msg)
        if piece == 0 and (len(waiting) >= len(_START) or not more) and not waiting.startswith(_START):
            msg = "the body is no zip file; send the file itself, as with curl --data-binary @data.zip"
            raise InvalidDatasetError(msg)


def _begin(tx: Connection, actor: str, *, forced: bool, now: int) -> int:
    number = store.add_import(tx, source="upload", actor=actor, forced=forced, state="loading", now=now)
    audit.record(tx, actor=actor, action="conversations.import", target=str(number), before=None, after=None, at=now)
    return number
