"""The hot paths of tasks (raw ASGI): intake, one task with or without waiting for a change, and the stream."""

import asyncio
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from sqlalchemy import Connection

from signalbox.auth.doors import Accepted, Asked, Door, Parameter, Poll
from signalbox.auth.principal import Principal
from signalbox.core.asgi import Receive, Scope, Send, answer
from signalbox.core.errors import Fault, InvalidError, SignalboxError, UnprocessableError
from signalbox.core.sse import Mailbox, serve_events
from signalbox.tasks import intake, service
from signalbox.tasks.runtime import TasksRuntime
from signalbox.tasks.schemas import LARGEST_ID, TERMINAL, NewTask, RowResult, TaskEnvelope, TaskOut, to_out

PATH: Final = "/api/tasks"
READ: Final = "tasks:read"
WRITE: Final = "tasks:write"
TAGS: Final = ("tasks",)

MAX_TASK: Final = 1024 * 1024
MAX_BATCH: Final = 32 * 1024 * 1024
MOST_ROWS: Final = 10_000

LONGEST_WAIT: Final = 60.0

_ENCODER: Final = msgspec.json.Encoder()
_TASK: Final = msgspec.json.Decoder(NewTask)
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_JSON: Final = (b"content-type", b"application/json")
_NO_STORE: Final = (b"cache-control", b"no-store")
_LARGEST_DIGITS: Final = 16


class BatchTooLongError(InvalidError):
    """A batch has more rows than one transaction should."""

    code = "batch_too_long"


class Endpoints:
    """The declarations, and what they do."""

    def __init__(self, runtime: TasksRuntime) -> None:
        self._runtime, self._context = runtime, runtime.context

    def doors(self) -> list[Door[Any]]:
        """What writes."""
        one = Door(
            method="POST",
            path=PATH,
            scope=WRITE,
            body=NewTask,
            handle=self.accept,
            summary="Hand over a task",
            answer=TaskEnvelope,
            idempotent=True,
            responses={409: "There is a task with this id"},
            max_body=MAX_TASK,
            tags=TAGS,
        )
        many: Door[Any] = Door(
            method="POST",
            path=f"{PATH}/batch",
            scope=WRITE,
            body=bytes,
            prepare=self.split,
            handle=self.accept_many,
            summary="Hand over many tasks: a JSON array, or one JSON object a line; each row has its own result",
            answer=list[RowResult],
            status=200,
            idempotent=True,
            max_body=MAX_BATCH,
            tags=TAGS,
        )
        return [one, many]

    def polls(self) -> list[Poll]:
        """What reads."""
        wait = Parameter("wait", "query", "Seconds to wait for a change, at most 60; unset: none.", "number")
        return [
            Poll(
                path=f"{PATH}/stream",
                scope=READ,
                handle=self.stream,
                summary="Tasks as they come, change and go (`deleted`), as server-sent events; `resync`: too many, list them",
                answer=TaskOut,
                media_type="text/event-stream",
                tags=TAGS,
            ),
            Poll(
                path=PATH + "/{id}",
                scope=READ,
                handle=self.show,
                summary="One task, at once or when it has changed",
                answer=TaskEnvelope,
                parameters=(wait,),
                responses={404: "There is no such task"},
                tags=TAGS,
            ),
        ]

    def accept(self, tx: Connection, body: NewTask, principal: Principal, now: int) -> Accepted:
        """Take one task; durable once it is answered."""
        desk, journal = self._runtime.desk, self._runtime.journal
        made = intake.accept(tx, body, desk=desk, journal=journal, app=intake.owner(principal), now=now)
        return Accepted(201, TaskEnvelope(to_out(made)), f"{PATH}/{made.id}")

    async def split(self, asked: Asked) -> list[NewTask | SignalboxError]:
        """The rows of a batch, decoded; a row that is no task is its own error."""
        rows = split_rows(asked.body)
        decoded: list[NewTask | SignalboxError] = []
        for position, row in enumerate(rows):
            decoded.append(decode_row(row))
            if position % 500 == 499:  # noqa: PLR2004 - some milliseconds, then others have their turn
                await asyncio.sleep(0)
        return decoded

    def accept_many(
        self, tx: Connection, rows: list[NewTask | SignalboxError], principal: Principal, now: int
    ) -> Accepted:
        """Take many tasks; what became of each row, in their order."""
        app = intake.owner(principal)
        desk, journal = self._runtime.desk, self._runtime.journal
        return Accepted(200, intake.accept_many(tx, rows, desk=desk, journal=journal, app=app, now=now))

    async def show(self, scope: Scope, receive: Receive, send: Send, _principal: Principal) -> None:
        """Answer with a task; with ``wait``, once it has changed or that many seconds have passed."""
        number, wait = to_number(scope["path_params"]["id"]), to_wait(scope["query_string"])
        found = await self._wait_for(number, wait, receive)
        body = _ENCODER.encode(TaskEnvelope(found))
        headers = [_JSON, (b"content-length", b"%d" % len(body)), _NO_STORE]
        await answer(scope, send, status=200, headers=headers, body=body)

    async def _wait_for(self, number: int, wait: float, receive: Receive) -> TaskOut:
        loop, waiters = asyncio.get_running_loop(), self._runtime.feed.waiters
        until = loop.time() + wait
        first = await self._context.db.read(service.show_task, number)
        if not wait or first.status in TERMINAL:
            return first
        while True:
            with waiters.join(number) as waiter:  # then look: what changes from here on is heard
                found = await self._context.db.read(service.show_task, number)
                if found != first or loop.time() >= until:
                    return found
                if await waiter.wait(until - loop.time(), receive=receive) is None:
                    return found

    async def stream(self, scope: Scope, receive: Receive, send: Send, _principal: Principal) -> None:
        """Every task that changes from now on, as it is then."""
        mailbox = Mailbox()
        leave = self._runtime.feed.join(mailbox)
        try:
            await serve_events(scope, receive, send, mailbox, drain=self._context.drain)
        finally:
            leave()


def split_rows(content: bytes) -> list[bytes]:
    """The rows of a JSON array, or the lines of NDJSON; empty lines are left out.

    Raises:
        BatchTooLongError: there are over 10,000.
        InvalidError: the array is not JSON.
    """
    if content.lstrip()[:1] == b"[":
        try:
            rows = [bytes(row) for row in _RAWS.decode(content)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            msg = f"the body is neither a JSON array nor JSON objects, one a line: {error}"
            raise InvalidError(msg) from None
    else:
        rows = [line for line in content.splitlines() if line.strip()]
    if len(rows) > MOST_ROWS:
        msg = f"the batch has {len(rows)} rows; {MOST_ROWS} are allowed"
        raise BatchTooLongError(msg)
    return rows


def decode_row(row: bytes) -> NewTask | SignalboxError:
    """The task of one row, or why it is none."""
    try:
        return _TASK.decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the first is validation errors too
        return UnprocessableError([Fault("row", str(error))])


def to_number(text: str) -> int:
    """The id in a path.

    Raises:
        UnprocessableError: it is no whole number.
        TaskNotFoundError: no task can have it.
    """
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise UnprocessableError([Fault("id", "is a whole number", text[:50])])
    return service.check_number(int(text) if len(text) <= _LARGEST_DIGITS else LARGEST_ID + 1)


def to_wait(query: bytes) -> float:
    """The seconds to wait that a query asks for: 0 where it does not.

    Raises:
        UnprocessableError: they are no number from 0 to 60.
    """
    given = parse_qs(query.decode("latin-1")).get("wait")
    if given is None:
        return 0.0
    try:
        seconds = float(given[-1])
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise UnprocessableError([Fault("wait", f"is a number of seconds from 0 to {LONGEST_WAIT:g}")])
    return seconds
