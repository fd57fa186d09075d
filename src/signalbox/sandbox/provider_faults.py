"""What can go wrong with the simulated provider, when it is told to: before a call is handled, or with its answer."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, NamedTuple

Route = Literal["submit", "list", "batch", "item", "lookup"]

FOREVER: Final = 3_600.0
"""Seconds that a call hangs that nobody gives up."""


class Reply(NamedTuple):
    """An answer to send."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Ending(Enum):
    """What happens instead of an answer."""

    HANG = "nothing comes, and the connection stays"
    DROP = "the connection breaks before the answer"


class Cut(NamedTuple):
    """An answer whose connection breaks in the middle."""

    reply: Reply


Outcome = Reply | Ending | Cut


def _json(status: int, value: Any, *headers: tuple[bytes, bytes]) -> Reply:
    return Reply(status, json.dumps(value, separators=(",", ":")).encode(), headers)


INSTEAD: Final[Mapping[str, Outcome]] = {
    "fail": _json(500, {"error": "internal_error"}),
    "refuse": _json(422, {"error": "Invalid IP range: 192.168.1.256"}),
    "conflict": _json(409, {"error": "busy with the same task"}),
    "busy": _json(503, {"error": "overloaded"}, (b"retry-after", b"1")),
    "limit": _json(429, {"error": "slow down"}, (b"retry-after", b"2")),
    "redirect": Reply(302, b"", ((b"location", b"/elsewhere"),)),
    "hang": Ending.HANG,
    "drop": Ending.DROP,
}
"""Faults that come before a call is handled: it leaves no trace but in the counts."""


def _elements(change: Callable[[list[Any]], Any]) -> Callable[[Reply], Outcome]:
    """A fault of the list in an answer."""

    def changed(reply: Reply) -> Reply:
        value = json.loads(reply.body)
        elements = value if isinstance(value, list) else [value]
        return reply._replace(body=json.dumps(change(elements)).encode())

    return changed


def _mangle(elements: list[Any]) -> list[Any]:
    """Every second element becomes something that is no task."""
    odd: list[Any] = [
        None,
        7,
        "task",
        [],
        {},
        {"id": None, "status": "Completed"},
        {"id": "1"},
        {"id": [1], "status": {}},
    ]
    return [odd[index // 2 % len(odd)] if index % 2 else element for index, element in enumerate(elements)]


def _older(elements: list[Any]) -> list[Any]:
    return [*elements, *({"id": element.get("id"), "status": "In Progress"} for element in elements)]


AFTERWARDS: Final[Mapping[str, Callable[[Reply], Outcome]]] = {
    "die": lambda _reply: Ending.DROP,
    "swallow": lambda _reply: Ending.HANG,
    "gateway": lambda _reply: _json(502, {"error": "bad gateway"}),
    "garbage": lambda reply: reply._replace(body=b"<html><body>It works!</body></html>"),
    "empty": lambda reply: reply._replace(body=b""),
    "truncate": lambda reply: reply._replace(body=reply.body[: len(reply.body) // 2]),
    "cut": Cut,
    "object": lambda reply: reply._replace(body=b'{"tasks":' + reply.body + b"}"),
    "empty_list": _elements(lambda _elements: []),
    "forget": _elements(lambda elements: elements[::2]),
    "repeat": _elements(_older),
    "mangle": _elements(_mangle),
    "odd_status": _elements(lambda elements: [{**element, "status": "Paused"} for element in elements]),
}
"""Faults of an answer to a call that has been handled: a task that was submitted is under way."""

FAULTS: Final = frozenset({*INSTEAD, *AFTERWARDS})


@dataclass(slots=True)
class _Order:
    route: Route | None
    how: str
    times: int | None


class Faults:
    """What is to go wrong next."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []

    def order(self, how: str, *, route: Route | None = None, times: int | None = 1) -> None:
        """Let the next ``times`` calls (None: all, until ``clear``) of a route, or of any, go wrong like that.

        Raises:
            ValueError: there is no such fault.
        """
        if how not in FAULTS:
            msg = f"no fault is called {how!r}; there are: {', '.join(sorted(FAULTS))}"
            raise ValueError(msg)
        self._orders.append(_Order(route, how, times))

    def clear(self) -> None:
        """Let everything go well again."""
        self._orders.clear()

    def take(self, route: Route) -> str | None:
        """The fault of a call that comes now: that of the oldest order for it."""
        order = next((each for each in self._orders if each.route in {None, route}), None)
        if order is None:
            return None
        if order.times is not None:
            order.times -= 1
            if not order.times:
                self._orders.remove(order)
        return order.how
