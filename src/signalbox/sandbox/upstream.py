"""A simulated third-party shop API, as a raw ASGI app.

``GET /categories/{id}``, ``/items/{id}``, ``/items?ids=a,b``, ``/users/{id}``, ``/search?q=`` and ``POST /orders``
answer as a shop would, with its latencies and its failures; the paths of ``behaviours`` answer as asked, at once.
"""

import hashlib
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, unquote

from starlette.types import Receive, Scope, Send

from signalbox.sandbox.behaviours import BEHAVIOURS
from signalbox.sandbox.catalogue import Catalogue, Record
from signalbox.sandbox.exchange import Exchange, Headers, Tally

FAILURES = 0.01
"""Share of shop calls that fail, unless said."""

LARGEST_ORDER = 1 << 20
MOST_IDS = 20
_SPREAD = 0.4
_SLOWEST = 2.0
_KEPT: Headers = [(b"cache-control", b"max-age=60")]


@dataclass(frozen=True)
class Endpoint:
    """A shop endpoint: its ``method``, the function that answers, its median latency in seconds."""

    method: str
    serve: Callable[[Exchange], Awaitable[None]]
    median: float


class UpstreamApp:
    """The shop: ``app(scope, receive, send)``.

    ``seed`` decides the data and the course of the dice. With ``latency`` an answer takes log-normal time
    (medians of 5 to 40 ms by endpoint) and ``failures`` (a share; default 1 %, without latency none) of the calls end
    in 500, 503 or 404.
    ``tally`` counts what was seen.
    """

    def __init__(self, seed: int = 0, *, latency: bool = True, failures: float | None = None) -> None:
        self.tally = Tally()
        self._shop = Catalogue(seed)
        self._latency = latency
        self._failures = failures if failures is not None else FAILURES * latency
        self._dice = random.Random(seed)
        self._endpoints: Mapping[str, Endpoint] = {
            "categories": Endpoint("GET", self._category, 0.008),
            "items": Endpoint("GET", self._items, 0.012),
            "users": Endpoint("GET", self._user, 0.005),
            "search": Endpoint("GET", self._search, 0.040),
            "orders": Endpoint("POST", self._order, 0.025),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but HTTP is refused."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        async with Exchange(scope, receive, send, self.tally) as exchange:
            await self._route(exchange)

    async def _route(self, exchange: Exchange) -> None:
        first = exchange.segments[0]
        if (behaviour := BEHAVIOURS.get(first)) is not None:
            await behaviour(exchange)
        elif (endpoint := self._endpoints.get(first)) is not None:
            await self._serve(endpoint, exchange)
        else:
            await _refuse(exchange, 404)

    async def _serve(self, endpoint: Endpoint, exchange: Exchange) -> None:
        methods = {endpoint.method, "HEAD" if endpoint.method == "GET" else endpoint.method}
        if exchange.method not in methods:
            await exchange.json(405, _problem(405), [(b"allow", ", ".join(sorted(methods)).encode())])
        elif self._dice.random() < self._failures:
            await _refuse(exchange, self._dice.choice((500, 503, 404)))
        elif endpoint.method != "GET" or await self._wait(endpoint, exchange):
            await endpoint.serve(exchange)

    async def _wait(self, endpoint: Endpoint, exchange: Exchange) -> bool:
        if not self._latency:
            return True
        seconds = self._dice.lognormvariate(math.log(endpoint.median), _SPREAD)
        return await exchange.pause(min(seconds, _SLOWEST))

    async def _category(self, exchange: Exchange) -> None:
        await _found(exchange, self._shop.category(_identity(exchange)), _KEPT)  # the shop's tree seldom changes

    async def _user(self, exchange: Exchange) -> None:
        await _found(exchange, self._shop.user(_identity(exchange)))

    async def _items(self, exchange: Exchange) -> None:
        if len(exchange.segments) > 1:
            await _found(exchange, self._shop.item(_identity(exchange)))
        elif not (ids := _parameter(exchange, "ids").split(","))[0] or len(ids) > MOST_IDS:
            await _refuse(exchange, 400)
        else:
            await exchange.json(200, [_member(self._shop.item(identity)) for identity in ids])

    async def _search(self, exchange: Exchange) -> None:
        if query := _parameter(exchange, "q"):
            await exchange.json(200, self._shop.search(query))
        else:
            await _refuse(exchange, 400)

    async def _order(self, exchange: Exchange) -> None:
        digest, length = hashlib.sha256(), 0
        async for piece in exchange.body():
            digest.update(piece)
            length += len(piece)
        if length > LARGEST_ORDER:
            await _refuse(exchange, 413)
        elif await self._wait(self._endpoints["orders"], exchange):
            identity = f"ORD{digest.hexdigest()[:12]}"
            order = {"id": identity, "status": "confirmed", "received_bytes": length}
            await exchange.json(201, order, [(b"location", f"/orders/{identity}".encode())])


def _identity(exchange: Exchange) -> str:
    """Return what follows the first segment; a deeper path is no id of the shop's."""
    return unquote("/".join(exchange.segments[1:]))


def _parameter(exchange: Exchange, name: str) -> str:
    return parse_qs(exchange.query_string.decode("latin-1")).get(name, [""])[0]


def _member(record: Record | None) -> Record:
    return {"code": 404, "body": _problem(404)} if record is None else {"code": 200, "body": record}


def _problem(status: int) -> Record:
    names = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 503: "busy"}
    return {"status": status, "error": names.get(status, "internal_error")}


async def _found(exchange: Exchange, record: Record | None, headers: Headers = ()) -> None:
    if record is None:
        await _refuse(exchange, 404)
    else:
        await exchange.json(200, record, headers)


async def _refuse(exchange: Exchange, status: int) -> None:
    headers = [(b"retry-after", b"1")] if status == HTTPStatus.SERVICE_UNAVAILABLE else []
    await exchange.json(status, _problem(status), headers)
