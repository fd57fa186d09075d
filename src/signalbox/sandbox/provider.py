"""A simulated third-party API that takes tasks and works them off, as a raw ASGI app.

``POST /tasks`` with ``{"id"?, "reference"?, "payload"?}`` (the reference also as ``Idempotency-Key``) begins a task,
``GET /tasks`` shows all, ``/tasks?ids=1,2`` some, ``/tasks/1`` one, ``/tasks?reference=x`` looks one up. Every one of these
calls counts against its limit, which it enforces with 429 and Retry-After.

Below ``/control`` it is told what to do, as ``ProviderApp`` is by its attributes in the same process:
``GET report``, ``GET arrivals``, ``POST faults`` with ``{"how", "route"?, "times"?}``, ``POST tasks`` with
``[{"id", "status", "message"?}]``, ``POST forget`` with ids. ``python -m signalbox.sandbox.provider`` runs it by itself.
"""

import argparse
import asyncio
import contextlib
import json
import math
import signal
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote

import msgspec
import uvloop
from starlette.types import Receive, Scope, Send

from signalbox.core.rates import parse_rate
from signalbox.sandbox.exchange import JSON_TYPE, Exchange, Tally
from signalbox.sandbox.provider_book import Book, FullError, Pace, encode_entries
from signalbox.sandbox.provider_faults import AFTERWARDS, FOREVER, INSTEAD, Cut, Ending, Faults, Outcome, Reply, Route
from signalbox.sandbox.provider_gate import Gate
from signalbox.sandbox.server import LoopbackServer

MOST_IDS: Final = 1_000
LARGEST_TASK: Final = 1 << 20
NEWEST: Final = 100

_OK, _CREATED, _BAD, _UNKNOWN, _NOT_ALLOWED, _TOO_LARGE, _UNPROCESSABLE, _TOO_MANY, _FULL = (
    200, 201, 400, 404, 405, 413, 422, 429, 507,
)  # fmt: skip


class Received(NamedTuple):
    """A submission as it came."""

    target: bytes
    headers: dict[bytes, bytes]
    body: bytes


class ProviderApp:
    """The provider: ``app(scope, receive, send)``.

    ``limits`` such as ``["50/30s"]`` hold for all its calls together; ``token`` is wanted as ``Authorization: Bearer``.
    ``gate`` counts calls and violations, ``book`` tasks and double submissions, ``faults`` takes orders to fail.
    """

    def __init__(
        self,
        *,
        limits: Sequence[str] = (),
        pace: Pace = Pace(),  # noqa: B008 - frozen
        seed: int = 0,
        idempotent: bool = True,
        token: str | None = None,
    ) -> None:
        self.tally = Tally()
        self.gate = Gate(map(parse_rate, limits))
        self.book = Book(pace, seed=seed, idempotent=idempotent)
        self.faults = Faults()
        self.received: deque[Received] = deque(maxlen=NEWEST)
        """The newest submissions."""
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but HTTP is refused."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        async with Exchange(scope, receive, send, self.tally) as exchange:
            if exchange.segments[0] == "control":
                await _send(exchange, await self._control(exchange))
            else:
                await _send(exchange, await self._serve(exchange))

    @property
    def now(self) -> float:
        """Seconds of the provider's clock, as in ``gate.arrivals``."""
        return time.monotonic()

    def report(self) -> dict[str, Any]:
        """What was seen so far."""
        gate, book = self.gate, self.book
        return {
            "tasks": len(book),
            "submissions": book.submissions.total(),
            "doubles": book.doubles,
            "repeats": book.repeats,
            "calls": dict(gate.calls),
            "violations": gate.refused,
            "impatient": gate.impatient,
            "busiest": {str(rate): gate.busiest(rate) for rate in gate.limits},
        }

    async def _serve(self, exchange: Exchange) -> Outcome:
        now = self.now
        query = {name: values[0] for name, values in parse_qs(exchange.query_string.decode("latin-1")).items()}
        route = _route_of(exchange, query)
        if isinstance(route, Reply):
            return route
        if wait := self.gate.admit(route, now):
            headers = ((b"retry-after", b"%d" % math.ceil(wait)),)
            return _problem(_TOO_MANY, "the limit is reached")._replace(headers=headers)
        if self._token is not None and _header(exchange, b"authorization") != f"Bearer {self._token}":
            return _problem(401, "a token is wanted")
        fault = self.faults.take(route)
        if fault is not None and fault in INSTEAD:
            return self._instead(fault, now)
        reply = await self._handle(exchange, route, query, now)
        return AFTERWARDS[fault](reply) if fault is not None else reply

    def _instead(self, fault: str, now: float) -> Outcome:
        outcome = INSTEAD[fault]
        if isinstance(outcome, Reply):
            told = dict(outcome.headers).get(b"retry-after")
            self.gate.close(now + int(told) if told else 0.0)
        return outcome

    async def _handle(self, exchange: Exchange, route: Route, query: dict[str, str], now: float) -> Reply:
        if route == "submit":
            return await self._submit(exchange, now)
        if route == "item":
            found = self.book.find([unquote(exchange.segments[1])])
            return Reply(_OK, found[0].encoded(now)) if found else _problem(_UNKNOWN, "no such task")
        if route == "lookup":
            entry = self.book.find_reference(query["reference"])
            return Reply(_OK, entry.encoded(now)) if entry else _problem(_UNKNOWN, "no task has this reference")
        if route == "batch":
            ids = query["ids"].split(",")
            too_many = _problem(_BAD, f"at most {MOST_IDS} ids")
            return too_many if len(ids) > MOST_IDS else Reply(_OK, encode_entries(self.book.find(ids), now))
        return Reply(_OK, encode_entries(self.book.entries(), now))

    async def _submit(self, exchange: Exchange, now: float) -> Reply:
        body = await _whole(exchange)
        target = exchange.raw_path + (b"?" + exchange.query_string if exchange.query_string else b"")
        self.received.append(Received(target, dict(exchange.headers), body))
        if len(body) > LARGEST_TASK:
            return _problem(_TOO_LARGE, "the task is too large")
        try:
            task = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _problem(_UNPROCESSABLE, "a task is a JSON object")
        given, reference = (_as_text(task.get(name)) for name in ("id", "reference"))
        try:
            entry = self.book.add(given, _header(exchange, b"idempotency-key") or reference, now)
        except FullError:
            return _problem(_FULL, "no room for more tasks")
        return Reply(_CREATED, entry.encoded(now))

    async def _control(self, exchange: Exchange) -> Reply:
        what = (exchange.method, *exchange.segments[1:])
        if what == ("GET", "report"):
            return _json(self.report())
        if what == ("GET", "arrivals"):
            return _json([[each.at, each.route, each.admitted] for each in self.gate.arrivals])
        order = json.loads(await _whole(exchange) or b"null")
        if what == ("POST", "faults"):
            self.faults.order(order["how"], route=order.get("route"), times=order.get("times", 1))
        elif what == ("DELETE", "faults"):
            self.faults.clear()
        elif what == ("POST", "tasks"):
            for task in order:
                self.book.set(task["id"], task["status"], task.get("message"))
        elif what == ("POST", "forget"):
            self.book.forget(order)
        else:
            return _problem(_UNKNOWN, "no such order")
        return _json({})


def _route_of(exchange: Exchange, query: dict[str, str]) -> Route | Reply:
    """What is asked for; else the refusal."""
    first, *rest = exchange.segments
    if first != "tasks" or len(rest) > 1:
        return _problem(_UNKNOWN, "nothing is here")
    if exchange.method == "POST" and not rest:
        return "submit"
    if exchange.method != "GET":
        return _problem(_NOT_ALLOWED, "that cannot be done")
    return "item" if rest else "lookup" if "reference" in query else "batch" if "ids" in query else "list"


async def _send(exchange: Exchange, outcome: Outcome) -> None:
    if outcome is Ending.HANG:
        await exchange.pause(FOREVER)
    elif outcome is Ending.DROP:
        exchange.drop()
    elif isinstance(outcome, Cut):
        await exchange.start(outcome.reply.status, [JSON_TYPE, (b"content-length", b"%d" % len(outcome.reply.body))])
        await exchange.write(outcome.reply.body[: len(outcome.reply.body) // 2])
        exchange.drop()
    elif isinstance(outcome, Reply):
        await exchange.answer(outcome.status, outcome.body, [JSON_TYPE, *outcome.headers])


async def _whole(exchange: Exchange) -> bytes:
    """The body, as far as it is not too large."""
    pieces, size = [], 0
    async for piece in exchange.body():
        size += len(piece)
        if size <= LARGEST_TASK + len(piece):
            pieces.append(piece)
    return b"".join(pieces)


def _header(exchange: Exchange, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in exchange.headers if key == name), None)


def _as_text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _json(value: Any) -> Reply:
    return Reply(_OK, msgspec.json.encode(value))


def _problem(status: int, error: str) -> Reply:
    return Reply(status, msgspec.json.encode({"error": error}))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m signalbox.sandbox.provider", description="A simulated provider.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--limit", action="append", default=[], help="such as 50/30s; may be given several times")
    parser.add_argument("--waiting", type=float, default=Pace.waiting, help="seconds until work on a task begins")
    parser.add_argument("--working", type=float, default=Pace.working, help="seconds until it ends")
    parser.add_argument("--errors", type=float, default=Pace.errors, help="share of tasks that end in Error")
    parser.add_argument("--not-idempotent", action="store_true", help="take every submission for a new one")
    parser.add_argument("--token", help="wanted as Authorization: Bearer")
    return parser.parse_args(arguments)


async def _run(given: argparse.Namespace) -> None:
    app = ProviderApp(
        limits=given.limit,
        pace=Pace(given.waiting, given.working, given.errors),
        idempotent=not given.not_idempotent,
        token=given.token,
    )
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with LoopbackServer(app, port=given.port) as server:
        print(server.url, flush=True)  # noqa: T201 - whoever started it reads where it listens
        await stopped.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C; the first line of output is the address."""
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(_parse(arguments)))


if __name__ == "__main__":
    main()
