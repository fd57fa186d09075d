"""``POST /api/measurements/batch``: taken in while it comes, so that a long one takes no more memory than a short one."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from typing import Final
from urllib.parse import parse_qs

import msgspec
from sqlalchemy import Connection

from signalbox.auth.doors import Parameter, Poll
from signalbox.auth.principal import Principal
from signalbox.core.asgi import Receive, Scope, Send, answer
from signalbox.core.errors import Fault, InvalidError, UnprocessableError
from signalbox.grid import intake
from signalbox.grid.batch_rows import RowSplitter
from signalbox.grid.doors import PATH, TAGS, WRITE, decode_row
from signalbox.grid.errors import BatchTooLongError, BrokenBatchError
from signalbox.grid.schemas import BatchResult, NewReading
from signalbox.infra.context import Context
from signalbox.infra.idempotency import REPLAYED, KeyedRequest, StoredAnswer, answer_once, find_key

BATCH_PATH: Final = f"{PATH}/batch"
OPERATION: Final = f"POST {BATCH_PATH}"

STEP: Final = 10_000
"""Rows in one transaction."""
MOST_AT_ONCE: Final = 50_000
"""Rows that must be one transaction: all or nothing, or with an ``Idempotency-Key``."""
SPOOL: Final = 1024 * 1024
"""Bytes of results that are kept in memory; more go to a temporary file."""
MOST_RESULTS: Final = 256 * 1024 * 1024
"""Bytes of results; about ten million rows that are taken, or a million that are not, with the reasons."""
PIECE: Final = 64 * 1024

_ENCODER: Final = msgspec.json.Encoder()
_JSON: Final = (b"content-type", b"application/json")

Rows = list[NewReading | str]


def build_batch_poll(context: Context) -> Poll:
    """The endpoint, which reads its body itself."""
    key = Parameter("Idempotency-Key", "header", f"A repeat is answered as the first; at most {MOST_AT_ONCE} rows.")
    whole = Parameter(
        "all_or_nothing", "query", f"Take every row, or none and answer 409; at most {MOST_AT_ONCE} rows.", "boolean"
    )
    row = {"schema": {"type": "array", "items": {"type": "object"}}}
    return Poll(
        method="POST",
        path=BATCH_PATH,
        scope=WRITE,
        handle=BatchUpload(context),
        summary="Add many readings: a JSON array, or one JSON object a line; each row has its own result",
        answer=BatchResult,
        parameters=[whole, key],
        request={"application/json": row, "application/x-ndjson": {"schema": {"type": "string"}}},
        responses={
            400: "The body is no JSON array, or too long to be taken at once; what was taken before stays, and is said",
            409: "All or nothing was asked for, and a row cannot be taken; or a request with this key has not ended",
            422: "The key was used for another request",
        },
        tags=TAGS,
    )


class BatchUpload:
    """Takes batches in: in steps, each committed before more is read, or at once where asked."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
        """Serve one request."""
        all_or_nothing, key = _wish(scope["query_string"]), find_key(scope["headers"])
        if all_or_nothing or key is not None:
            await self._take_at_once(scope, receive, send, principal, key=key, all_or_nothing=all_or_nothing)
            return
        with closing(Results()) as results:
            await self.take_in_steps(receive, results)
            await _send(results, scope, send)

    async def take_in_steps(self, receive: Receive, results: "Results") -> None:
        """Take a body in, and note what became of its rows.

        Raises:
            InvalidError: the body is neither a JSON array nor JSON by the line, from its beginning.
            BrokenBatchError: it is none from some row on, or has too many rows; those before were taken.
        """
        rows: Rows = []
        try:
            async for some in _decoded(receive):
                rows += some
                if len(rows) >= STEP:
                    rows = await self._step(rows, results)
                    results.check_room()
        except InvalidError as error:
            if not results.count:
                raise
            msg = f"{error}; of the {results.count} rows before, {results.inserted} were taken"
            raise BrokenBatchError(msg) from error
        await self._step(rows, results)

    async def _step(self, rows: Rows, results: "Results") -> Rows:
        now = self._context.clock.now()
        result = await self._context.db.write(intake.accept_many, rows, now=now)
        await asyncio.to_thread(results.add, result)  # which may write to the disk
        return []

    async def _take_at_once(
        self, scope: Scope, receive: Receive, send: Send, principal: Principal, *, key: str | None, all_or_nothing: bool
    ) -> None:
        target = scope["raw_path"].rstrip(b"/") + b"?" + scope["query_string"]
        digest = hashlib.sha256(b"POST %b\n" % target)
        rows: Rows = []
        async for some in _decoded(receive, told=digest.update):
            rows += some
            if len(rows) > MOST_AT_ONCE:
                msg = f"the batch has over {MOST_AT_ONCE} rows: too many for all or nothing, or for one key"
                raise BatchTooLongError(msg)
        now = self._context.clock.now()
        request = None if key is None else KeyedRequest(principal.actor, OPERATION, key, digest.digest())

        def accept(tx: Connection) -> StoredAnswer:
            result = intake.accept_many(tx, rows, all_or_nothing=all_or_nothing, now=now)
            return StoredAnswer(200, _ENCODER.encode(result))

        given, replayed = await self._context.db.write(answer_once, request, accept, now=now)
        headers = [_JSON, (b"content-length", b"%d" % len(given.body)), *([REPLAYED] if replayed else [])]
        await answer(scope, send, status=given.status, headers=headers, body=given.body)


class Results:
    """What became of the rows of steps, as the JSON of one ``BatchResult`` of at most about ``most`` bytes."""

    def __init__(self, *, most: int = MOST_RESULTS) -> None:
        self._most = most
        self.count = self.inserted = 0
        self.duplicates = self.rejected = 0
        self._rows = tempfile.SpooledTemporaryFile(SPOOL)  # noqa: SIM115 - closed by close

    def add(self, result: BatchResult) -> None:
        """The next rows."""
        if result.rows:
            self._rows.write((b"," if self.count else b"") + _ENCODER.encode(result.rows)[1:-1])
        self.count += len(result.rows)
        self.inserted += result.inserted
        self.duplicates += result.duplicates
        self.rejected += result.rejected

    def check_room(self) -> None:
        """Refuse rows beyond those that were added.

        Raises:
            BatchTooLongError: their results take too much room already.
        """
        if self.size > self._most:
            msg = f"the results of the batch are over {self._most} bytes; send the rest as another batch"
            raise BatchTooLongError(msg)

    @property
    def size(self) -> int:
        """Bytes of the whole."""
        return len(self._head) + self._rows.tell() + len(b"]}")

    def read(self) -> Iterator[bytes]:
        """The whole in pieces; nothing is added any more."""
        yield self._head
        self._rows.seek(0)
        while piece := self._rows.read(PIECE):
            yield piece
        yield b"]}"

    def close(self) -> None:
        """Forget it."""
        self._rows.close()

    @property
    def _head(self) -> bytes:
        counts = {"inserted": self.inserted, "duplicates": self.duplicates, "rejected": self.rejected}
        return _ENCODER.encode(counts)[:-1] + b',"rows":['


async def _send(results: Results, scope: Scope, send: Send) -> None:
    """Answer with results; those on the disk are read by a thread."""
    headers = [_JSON, (b"content-length", b"%d" % results.size)]
    if results.size <= SPOOL:
        await answer(scope, send, status=200, headers=headers, body=b"".join(results.read()))
        return
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    pieces = results.read()
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _decoded(receive: Receive, told: Callable[[bytes], object] | None = None) -> AsyncIterator[Rows]:
    """The rows of the body as they come; ``told`` hears of each of its pieces."""
    splitter, more = RowSplitter(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            msg = "the client left before its request was whole"
            raise InvalidError(msg)
        piece, more = message.get("body", b""), message.get("more_body", False)
        if told is not None:
            told(piece)
        rows = splitter.feed(piece)
        yield [decode_row(row) for row in (rows if more else [*rows, *splitter.close()])]
        await asyncio.sleep(0)  # a piece takes some milliseconds, then others have their turn


def _wish(query: bytes) -> bool:
    said = parse_qs(query.decode("latin-1")).get("all_or_nothing", ["false"])[-1].lower()
    if said not in {"true", "false", "1", "0"}:
        raise UnprocessableError([Fault("all_or_nothing", "is true or false")])
    return said in {"true", "1"}
