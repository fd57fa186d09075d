"""``GET /api/criticality``: asks, answered from memory where there is nothing new (raw ASGI)."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from signalbox.auth.doors import Parameter, Poll, Ready
from signalbox.auth.principal import Principal
from signalbox.core.asgi import Receive, Scope, Send, answer
from signalbox.core.errors import SignalboxError
from signalbox.core.sse import HEARTBEAT, Mailbox, ServerSentEvent, serve_events
from signalbox.criticality.parameters import (
    consumer_name,
    find_header,
    parse_query,
    to_etags,
    to_last_event,
    to_revision,
    to_wait,
)
from signalbox.criticality.runtime import CriticalityRuntime
from signalbox.criticality.schemas import LevelOut, News
from signalbox.criticality.service.report import check_signal
from signalbox.criticality.settings import DEFAULT_SIGNAL
from signalbox.criticality.store import Pair
from signalbox.criticality.view import Known

PATH = "/api/criticality"
READ = "criticality:read"

_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")  # an answer is one app's, and its only one
_EMPTY = b"{}"
_NOTHING = [_JSON, (b"content-length", b"2"), _NO_STORE]
_NOTHING_NEW = Ready.of([_JSON, _NO_STORE], _EMPTY)
_NOT_MODIFIED = 304

_SINCE = Parameter("since", "query", "A revision that you have: what is newer is told again.", "integer")
_WAIT = Parameter("wait", "query", "Seconds to wait for a change.", "number")
_IF_NONE_MATCH = Parameter("If-None-Match", "header", "`ETag` of what you have: 304 while it is current.")
_SIGNAL = Parameter("signal", "query", "Name of the signal, `default` if none is named.")
_LAST_EVENT = Parameter("Last-Event-ID", "header", "The last event that you have; browsers send it by themselves.")

_log = logging.getLogger(__name__)


class Asks:
    """The endpoints that consumers ask at."""

    def __init__(self, runtime: CriticalityRuntime) -> None:
        self._runtime = runtime
        self._add = runtime.counter.add

    def polls(self) -> list[Poll]:
        """Their declarations."""
        described: dict[str, Any] = {
            "scope": READ,
            "handle": self.ask,
            "at_once": self.find_nothing,
            "answer": News,
            "parameters": (_SINCE, _WAIT, _IF_NONE_MATCH),
            "responses": {304: "What you have is current", 503: "There may be a change, and the database is away"},
            "tags": ("criticality",),
        }
        stream = Poll(
            path=f"{PATH}/stream",
            scope=READ,
            handle=self.stream,
            summary="Changes as server-sent events",
            answer=LevelOut,
            media_type="text/event-stream",
            parameters=(_SIGNAL, _SINCE, _LAST_EVENT),
            tags=("criticality",),
        )
        return [
            Poll(path=PATH, summary="Ask for a change of the level", **described),
            stream,
            Poll(path=PATH + "/{signal}", summary="Ask for a change of a signal's level", **described),
        ]

    def find_nothing(
        self, headers: Mapping[bytes, bytes], parameters: Mapping[str, str], principal: Principal, _now: int
    ) -> Ready | None:
        """``{}`` for a plain ask of an app that was told already, as nearly all are; None for every other."""
        if b"if-none-match" in headers:
            return None
        pair = (principal.app or principal.actor, parameters.get("signal", DEFAULT_SIGNAL))
        if not self._runtime.was_told(pair):
            return None
        self._add(pair)
        return _NOTHING_NEW

    async def ask(self, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
        """Answer with the level if it is news to this app, else with ``{}``."""
        name = scope["path_params"].get("signal", DEFAULT_SIGNAL)
        pair = (principal.app or consumer_name(principal), name)
        if name is not DEFAULT_SIGNAL:
            check_signal(name)
        condition = find_header(scope["headers"], b"if-none-match")
        if scope["query_string"] or condition is not None or scope["method"] == "HEAD":
            await self._ask_for(pair, condition, scope, receive, send)
            return
        self._add(pair)
        await _tell(scope, send, await self._runtime.ask(pair))

    async def stream(self, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
        """Send the level if it is news to this app, and each later change."""
        query = parse_query(scope["query_string"], ("signal", "since"))
        pair = (consumer_name(principal), check_signal(query.get("signal", DEFAULT_SIGNAL)))
        since = to_last_event(find_header(scope["headers"], b"last-event-id"))
        mailbox = Mailbox()
        feeding = asyncio.create_task(self._feed(mailbox, pair, to_revision(query) if since is None else since))
        self._runtime.streams += 1
        try:
            await serve_events(scope, receive, send, mailbox, drain=self._runtime.context.drain)
        finally:
            self._runtime.streams -= 1
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)

    async def _ask_for(self, pair: Pair, condition: bytes | None, scope: Scope, receive: Receive, send: Send) -> None:
        """An ask that says what the app has, or that it waits; HEAD asks nothing, since to look must not take the news."""
        if scope["method"] == "HEAD":
            await _tell(scope, send, None)
            return
        query = parse_query(scope["query_string"], ("since", "wait"))
        since, wait = to_revision(query), to_wait(query, most=self._runtime.settings.max_wait)
        if condition is not None:
            anything, newest = to_etags(condition)
            known = self._runtime.view.known.get(pair[1])
            since = known.revision if anything and known is not None else newest
        self._add(pair)
        found = await self._runtime.wait(pair, since, wait, receive=receive)
        if found is None and condition is not None and since:
            headers = [(b"etag", b'"%d"' % since), _NO_STORE]
            await answer(scope, send, status=_NOT_MODIFIED, headers=headers, body=b"")
        else:
            await _tell(scope, send, found)

    async def _feed(self, mailbox: Mailbox, pair: Pair, since: int | None) -> None:
        """Put what is new to a stream's reader into its mailbox, until it ends."""
        runtime = self._runtime
        try:
            self._add(pair)
            found = await runtime.ask(pair, since=since)
            while not mailbox.closed and not runtime.context.drain.begun:
                if found is None:
                    since = since if since is not None else _revision(runtime.view.known.get(pair[1]))
                else:
                    since = found.revision
                    mailbox.put(ServerSentEvent(found.body.decode(), name="change", id=str(since)))
                found = await runtime.wait(pair, since, HEARTBEAT)
        except SignalboxError as error:
            mailbox.close(f"{error}; come back with Last-Event-ID")
        except Exception:  # noqa: BLE001 - the reader comes back, and the log says why it had to
            _log.exception("a stream failed")
            mailbox.close("something failed; come back with Last-Event-ID")


async def _tell(scope: Scope, send: Send, known: Known | None) -> None:
    if known is None:
        await answer(scope, send, status=200, headers=_NOTHING, body=_EMPTY)
        return
    headers = [_JSON, (b"content-length", b"%d" % len(known.body)), (b"etag", known.etag), _NO_STORE]
    await answer(scope, send, status=200, headers=headers, body=known.body)


def _revision(known: Known | None) -> int:
    return 0 if known is None else known.revision
