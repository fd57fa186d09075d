"""Answers that polls have at hand, given before a task, a scope or anything else is made for their request."""

from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import NamedTuple

from signalbox.app.own_paths import OwnPaths
from signalbox.app.polls import PollRunner
from signalbox.core.ids import is_request_id, new_request_id
from signalbox.gateway.paths import sanitize_path
from signalbox.infra.clock import Clock

MAX_PLACES = 10_000
"""Targets that are remembered: those of a thousand signals in all their spellings, and no more than a few MB."""

_UNUSUAL = frozenset({b"content-length", b"transfer-encoding", b"expect"})
"""Headers of requests that are served in the usual way."""


class ReadyPlace(NamedTuple):
    """A target where a poll may have an answer at hand."""

    runner: PollRunner
    parameters: Mapping[str, str]
    """Values of the parameters in the path."""
    answers: "ReadyAnswers"

    def find_answer(self, headers: list[tuple[bytes, bytes]]) -> bytes | None:
        """The whole answer to a GET by HTTP/1.1 that keeps its connection; None: serve it in the usual way."""
        return self.answers.find_answer(self, headers)


class ReadyAnswers:
    """Finds answers by target and headers of a GET; whatever is not plain is left to the usual way.

    ``root`` is the path below which all is served; ``is_host`` tells whether a ``Host`` value is valid and leads to the
    hub's own paths. A call through the gateway costs one comparison here.
    """

    def __init__(self, own: OwnPaths, *, root: bytes, is_host: Callable[[bytes], bool], clock: Clock) -> None:
        self._own, self._root = own, root
        self.beginnings = tuple(
            beginning
            for path in own.beginnings_of(lambda app: isinstance(app, PollRunner) and app.has_ready)
            for beginning in {path, root + path}
        )
        """What the targets of such polls begin with."""
        self._is_host, self._clock = is_host, clock
        self._places: dict[bytes, ReadyPlace] = {}
        self._second, self._date = -1, b""

    def find_place(self, target: bytes) -> ReadyPlace | None:
        """The place of a request's target, as it came; None: nothing is at hand there."""
        if not target.startswith(self.beginnings):
            return None
        return self._places.get(target) or self._look_up(target)

    def find_answer(self, place: ReadyPlace, headers: list[tuple[bytes, bytes]]) -> bytes | None:
        """The whole answer to a GET by HTTP/1.1 that keeps its connection; None: serve it in the usual way."""
        named = dict(headers)
        if len(named) != len(headers) or not _UNUSUAL.isdisjoint(named):
            return None  # a header stands there twice, or a body may follow
        if not self._is_host(named.get(b"host", b"")):
            return None
        now = self._clock.now()
        ready = place.runner.at_once(named, place.parameters, now)
        if ready is None:
            return None
        request_id = named.get(b"x-request-id")
        if request_id is None or not is_request_id(request_id):
            request_id = new_request_id()
        second = now // 1_000_000
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True).encode()
        return b"%bdate: %b\r\nx-request-id: %b\r\n\r\n%b" % (ready.head, self._date, request_id, ready.body)

    def _look_up(self, target: bytes) -> ReadyPlace | None:
        """Only paths that are spelt as they are served, so that routing needs no second look."""
        if b"?" in target or b"#" in target or sanitize_path(target) != target:
            return None
        found = self._own.find(target.removeprefix(self._root))
        endpoint = None if found is None else found.endpoints.get("GET")
        if endpoint is None or not isinstance(endpoint.app, PollRunner) or not endpoint.app.has_ready:
            return None
        place = ReadyPlace(endpoint.app, endpoint.parameters, self)
        if len(self._places) < MAX_PLACES:
            self._places[target] = place
        return place
