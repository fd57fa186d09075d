"""A call that is served without a task, as long as all goes well and quickly.

A task for each call, with what it awaits, costs a tenth of a small call. Most calls need none: the request is there, a
connection is kept, and the answer comes in one piece. The callbacks of the two connections then do it all. Whatever else
happens gives the call a task, which goes on where the callbacks stopped: no connection kept, an answer in pieces, a
failure, or half a second without an answer, from which on the client is watched.
"""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from signalbox.core.asgi import Receive, Scope, Send, Turn
from signalbox.gateway.breaker import SERVER_ERROR
from signalbox.gateway.dispatch import Dispatcher, Outgoing
from signalbox.gateway.exchange import Exchange
from signalbox.gateway.headers import Header
from signalbox.gateway.watch import WaitingCalls
from signalbox.infra.http import Begun, Whole


class Conductor(Protocol):
    """Who ends the call."""

    waiting: WaitingCalls

    def answer(self, turn: Turn, exchange: Exchange, whole: Whole, told: Sequence[Header]) -> None:
        """Pass on an answer that is whole."""
        ...

    def go_on(self, quick: "QuickCall", scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve the rest of the call by a task."""
        ...


class QuickCall:
    """One call; ``told`` are headers for its answer."""

    __slots__ = ("_armed_at", "_conductor", "_turn", "begun", "call", "dispatcher", "exchange", "is_slow", "told")

    def __init__(
        self,
        conductor: Conductor,
        turn: Turn,
        exchange: Exchange,
        dispatcher: Dispatcher,
        call: Outgoing,
        *,
        told: Sequence[Header],
    ) -> None:
        self.exchange, self.dispatcher, self.call, self.told = exchange, dispatcher, call, told
        self.begun: Begun | None = None
        """The call on its way to the upstream, if it is."""
        self.is_slow = False
        """Whether the client is to be watched from now on."""
        self._conductor, self._turn = conductor, turn

    def begin(self) -> None:
        """Send the call."""
        self.begun = self.dispatcher.begin(self.exchange, self.call, self._on_news)
        if self.begun is None:
            self._turn.run(self._go_on)
            return
        waiting = self._conductor.waiting
        self._armed_at = waiting.tick
        waiting.watches.add(self)

    def look(self, tick: int) -> None:
        """Look at the call at a tick of ``WaitingCalls``."""
        if tick - self._armed_at > 1:
            self.is_slow = True
            self._take_task()

    def _on_news(self) -> None:
        if self.is_slow:  # its task has just been made, and finds the news
            return
        begun = self.begun
        whole = begun.take() if begun is not None and 0 < begun.status < SERVER_ERROR else None
        if whole is None:
            self._take_task()
            return
        self._conductor.waiting.watches.discard(self)
        try:
            self._conductor.answer(self._turn, self.exchange, whole, self.told)
        except Exception:  # noqa: BLE001 - as in a task; it must not go up into the upstream's connection
            self._turn.fail()

    def _take_task(self) -> None:
        self._conductor.waiting.watches.discard(self)
        self._turn.run(self._go_on)

    def _go_on(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._conductor.go_on(self, scope, receive, send)
