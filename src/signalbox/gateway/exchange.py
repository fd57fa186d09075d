"""What is known of one call through the gateway while it runs."""

import copy

from signalbox.core.asgi import EMPTY_QUERY, Scope
from signalbox.gateway.body import RequestBody
from signalbox.gateway.breaker import Failure, Ticket
from signalbox.gateway.paths import sanitize_query
from signalbox.gateway.routing import UNMATCHED, Upstream
from signalbox.gateway.schemas import CallRow
from signalbox.gateway.targets import Target

INTERNAL_ERROR = 500

_MAX_PATH = 2_048


class Exchange:
    """One call. What most calls leave as it is stands in the class: to set it for each costs more than it tells."""

    upstream: Upstream | None = None
    needs_token = True
    route = UNMATCHED
    app: str | None = None
    canonical = host = request_id = b""
    request_body: RequestBody | None = None
    status = INTERNAL_ERROR  # until the call ends otherwise
    request_bytes = response_bytes = 0
    head_at: float | None = None
    """When the answer began, on the monotonic clock, for calls that count no longer than that."""

    ticket: Ticket | None = None
    """The breaker's leave for this call, as long as it waits to hear how the call ended."""
    target: Target | None = None
    """Where the attempt under way was sent, as long as it waits to hear of it."""

    def __init__(self, scope: Scope, peer: str, client: str, now: int, monotonic: float) -> None:
        # made by position: for each object with names Python makes a dictionary of them
        self.started_at, self.started = now, monotonic
        self.peer, self.client = peer, client
        self.method: str = scope["method"]
        self.path: bytes = scope["raw_path"]
        query = scope["query_string"]
        self.query: bytes | None = sanitize_query(query) if query else None
        if not query and EMPTY_QUERY in scope.get("extensions", ()):
            self.query = b""

    def again(self, *, now: int, monotonic: float) -> "Exchange":
        """The same call once more, for nobody."""
        made = copy.copy(self)
        made.started_at, made.started = now, monotonic
        made.ticket = made.target = made.head_at = made.request_body = None
        made.client = ""
        made.request_bytes = made.response_bytes = 0
        return made

    def succeed(self, now: float) -> None:
        """The upstream answered."""
        ticket, target = self.ticket, self.target
        if ticket is not None and target is not None:
            self.ticket = self.target = None
            ticket.succeed(now)
            target.succeed()

    def fail_attempt(self, now: float) -> None:
        """The target of the attempt under way failed."""
        target, self.target = self.target, None
        if target is not None:
            target.fail(now)

    def fail(self, now: float, outcome: str) -> None:
        """The call failed by the upstream's fault; ``outcome`` says how in a word or two."""
        self.fail_attempt(now)
        ticket, self.ticket = self.ticket, None
        if ticket is not None:
            path = self.path[:_MAX_PATH].decode("ascii")
            ticket.fail(Failure(now, self.method, path, outcome, self.request_id.decode("ascii")))

    def ignore(self) -> None:
        """Whatever became of the call says nothing of the upstream; nothing to do where it was told already."""
        target, self.target = self.target, None
        if target is not None:
            target.ignore()
        ticket, self.ticket = self.ticket, None
        if ticket is not None:
            ticket.ignore()

    def to_call(self, monotonic: float) -> CallRow:
        """The record of the finished call."""
        upstream, body = self.upstream, self.request_body
        ended = monotonic if self.head_at is None else self.head_at
        return (
            self.started_at,
            self.path[:_MAX_PATH].decode("ascii"),
            self.route,
            "" if upstream is None else upstream.name,
            self.method,
            self.status,
            int((ended - self.started) * 1_000_000),
            self.request_bytes if body is None else body.size,
            self.response_bytes,
            self.client,
            self.app,
            self.request_id.decode("ascii"),
        )
