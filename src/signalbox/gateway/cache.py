"""The cache of one upstream: a shared HTTP cache (RFC 9111) over the seam ``infra.cache``.

Requests with the method GET or HEAD and without a body may be answered from it; only answers to GET are kept. Requests
for a part (``Range``), with ``If-Match`` and the like, or with a header that gives them another method or target
behind their own (``X-HTTP-Method-Override``...), pass by.

``cache_rules`` says what may be stored and given, ``cache_records`` where it lies, ``cache_flights`` how concurrent
requests that find nothing make one call upstream.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from signalbox.core.errors import BadGatewayError, GatewayTimeoutError, SignalboxError, UnavailableError
from signalbox.core.times import MICROSECONDS
from signalbox.gateway.cache_ask import BYPASS, GET, HEAD, METHOD, REQUEST, SPOKEN, STALE, Ask
from signalbox.gateway.cache_control import Header, by_name
from signalbox.gateway.cache_entry import NAME, Entry, Record, StoredAnswer, answer_from
from signalbox.gateway.cache_flights import Copy, Fill, Fills, Flight, PassedAnswer, Verdict
from signalbox.gateway.cache_records import Records
from signalbox.gateway.cache_rules import (
    ERROR_STATUSES,
    INTERNAL_ERROR,
    NEVER_STORED,
    NO_CONTENT,
    NOT_MODIFIED,
    OK,
    SAFE_METHODS,
    Answer,
    CacheSettings,
    Terms,
    confirms,
    differs,
    invalidated,
    is_not_modified,
    judge,
    kept_headers,
    may_answer,
    may_answer_on_error,
    may_answer_stale,
    selector,
    updated,
    with_conditions,
    without_conditions,
)
from signalbox.gateway.headers import response_headers
from signalbox.infra.cache import Cache
from signalbox.infra.clock import Clock
from signalbox.infra.http import Response

Fetch = Callable[[list[Header]], Awaitable[Response]]
"""Sends the call upstream with these headers, and those that the gateway makes itself. It raises BadGatewayError,
GatewayTimeoutError or UnavailableError where the upstream failed."""

PASS_SECONDS = 10
"""For how long nobody waits for an answer of a kind that could not be shared."""
MAX_PASSES = 4_096
MAX_REFRESHES = 64
"""Stale answers of one upstream that are fetched anew in the background at the same time."""
ROUNDS = 3
"""Times that a request waits for another before it goes upstream itself."""

_STALE_HIT = NAME + b"; hit; detail=stale-while-revalidate"
_ON_ERROR = STALE + b"; detail=stale-if-error"
_VALIDATORS = frozenset({b"etag", b"last-modified"})
_UPSTREAM_FAILED = (BadGatewayError, GatewayTimeoutError, UnavailableError)

_log = logging.getLogger(__name__)


class NotCachedError(GatewayTimeoutError):
    """The request asks for an answer from the cache or none (``only-if-cached``), and there is none."""

    code = "not_cached"


@dataclass(slots=True)
class CacheCounts:
    """What a cache did with requests since it was made."""

    hits: int = 0
    """Answered without asking upstream, stale answers included."""
    misses: int = 0
    """Sent upstream."""
    bypassed: int = 0
    """Sent upstream because their method or headers keep them out of the cache."""
    collapsed: int = 0
    """Answered with what another request fetched."""
    stale: int = 0
    """Answered with a stale answer: while it was fetched anew, or because the upstream failed."""
    revalidated: int = 0
    """Answers that the upstream confirmed with a 304."""
    stored: int = 0
    invalidated: int = 0
    """Targets outdated by unsafe methods."""


class GatewayCache:
    """The cache of one upstream. ``lookup`` first; where it finds nothing to give, ``forward``."""

    def __init__(
        self, settings: CacheSettings, *, upstream: str, urls: Sequence[str], store: Cache[Record], clock: Clock
    ) -> None:
        """Take what the cache works with.

        Args:
            settings: Of the upstream's cache.
            upstream: Its name.
            urls: Addresses of its servers.
            store: Where answers lie; it may be shared by all upstreams.
            clock: Tells the present.
        """
        self.counts = CacheCounts()
        self._settings, self._now = settings, clock.now
        self._records = Records(store, upstream)
        self._urls = tuple(urls)
        self._credentials = frozenset(name.encode() for name in settings.credentials)
        self._relevant = self._credentials | SPOKEN
        self._flights: dict[bytes, Flight] = {}
        self._fills = Fills()
        self._passes: dict[bytes, int] = {}
        self._refreshes: set[asyncio.Task[None]] = set()

    # -- from the cache ---------------------------------------------------------------------------------------------

    async def lookup(self, ask: Ask) -> StoredAnswer | None:
        """The answer, if one is stored that may be given without asking upstream."""
        return self._usable(ask, await self._records.find(ask)) if self._may_look(ask) else None

    def at_hand(self, ask: Ask) -> StoredAnswer | None:
        """As ``lookup`` where that needs no waiting; None says nothing but that it does, or that there is none."""
        return self._usable(ask, self._records.at_hand(ask)) if self._may_look(ask) else None

    def _may_look(self, ask: Ask) -> bool:
        """Whether a request may be answered out of a cache at all; ``ask`` learns what it says to caches."""
        if ask.method != GET:
            if ask.method != HEAD:
                ask.why = METHOD
                return False
            ask.plain = False
        for header in ask.headers:
            if header[0] in self._relevant:
                ask.read(self._credentials)
                break
        if ask.has_body:
            ask.why = BYPASS
        return ask.why is not BYPASS

    def _usable(self, ask: Ask, entry: Entry | None) -> StoredAnswer | None:
        if entry is None:
            return None
        now = self._now()
        if ask.plain and now < entry.terms.fresh_until:
            self.counts.hits += 1
            return StoredAnswer(entry.status, entry.hit(now), entry.body)
        return self._hit(ask, entry, now)

    def _hit(self, ask: Ask, entry: Entry, now: int) -> StoredAnswer | None:
        if may_answer(entry.terms, ask.directives, now=now):
            self.counts.hits += 1
            return self._give(ask, entry, entry.hit(now), now)
        ask.why = STALE if now >= entry.terms.fresh_until else REQUEST
        return None

    def _give(self, ask: Ask, entry: Entry, headers: list[Header], now: int) -> StoredAnswer:
        return answer_from(entry, headers, head=ask.method == HEAD, asked=ask.headers, now=now)

    def _give_stale(self, ask: Ask, entry: Entry, now: int, status: bytes) -> StoredAnswer:
        self.counts.stale += 1
        return self._give(ask, entry, entry.told(now, status), now)

    # -- through the upstream ---------------------------------------------------------------------------------------

    async def forward(self, ask: Ask, fetch: Fetch, *, refetch: Fetch) -> Response:
        """The answer to a request for which ``lookup`` found none to give; whoever asks reads and closes it.

        Args:
            ask: What ``lookup`` has seen.
            fetch: Sends it upstream. It is called not at all, once, or twice: where a 304 is about another entity
                tag than was asked about, for the whole answer.
            refetch: The same in the background, after the client has been answered and may have left.

        Raises:
            NotCachedError: the request forbids to ask upstream.
            SignalboxError: what ``fetch`` raised, where no stale answer may be given in its place.
        """
        if ask.why is METHOD:
            return await self._pass_on(ask, fetch)
        if ask.why is BYPASS:
            self.counts.bypassed += 1
            response = await fetch(ask.headers)
            return PassedAnswer(response, [*response.headers, _status(BYPASS)])
        if ask.directives.only_if_cached:
            msg = "the request asks for a stored answer alone (only-if-cached), and none that fits is stored"
            raise NotCachedError(msg)
        entry, now = ask.entry, self._now()
        if entry is not None and may_answer_stale(entry.terms, ask.directives, now=now):
            self._refresh(ask, refetch)
            self.counts.hits += 1
            return self._give_stale(ask, entry, now, _STALE_HIT)
        if ask.may_share:
            return await self._share(ask, fetch)
        return await self._call(ask, fetch, None)

    async def _share(self, ask: Ask, fetch: Fetch) -> Response:
        """Wait for another request that fetches the same, or be the one for which others wait."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._settings.collapse_timeout
        for _ in range(ROUNDS):
            key = ask.flight_key
            flight = self._flights.get(key)
            if flight is None:
                if self._passes.get(key, 0) > self._now():
                    break
                return await self._call(ask, fetch, Flight(key, self._flights))
            outcome = await flight.wait(until - clock())
            if outcome is Verdict.LEAD:
                return await self._call(ask, fetch, flight)
            answer = await self._landed(ask, outcome)
            if answer is not None:
                self.counts.collapsed += 1
                return answer
            if not isinstance(outcome, Entry) or ask.entry is outcome:
                break
        return await self._call(ask, fetch, None)

    async def _landed(self, ask: Ask, outcome: Entry | Verdict) -> StoredAnswer | None:
        """What a flight brought to one that waited for it."""
        if outcome is Verdict.FAILED:
            return self._on_error(ask)
        if not isinstance(outcome, Entry):
            return None
        if outcome.selector != selector(outcome.terms.vary, ask.headers, ask.origin):
            return await self.lookup(ask)  # what varies is known now
        ask.entry, now = outcome, self._now()
        if not may_answer(outcome.terms, ask.directives, now=now):
            return None
        return self._give(ask, outcome, outcome.told(now, ask.why + b"; collapsed"), now)

    async def _call(self, ask: Ask, fetch: Fetch, flight: Flight | None) -> Response:
        """Ask upstream: whether what is stored still holds, or for an answer that may be stored."""
        self.counts.misses += 1
        fill = self._fills.begin(ask.key, flight)
        try:
            return await self._ask_upstream(ask, fetch, fill)
        except _UPSTREAM_FAILED:
            stale = self._on_error(ask)
            if stale is None:
                fill.fail()
                raise
            fill.end(Verdict.FAILED)
            return stale
        except BaseException:
            fill.fail()
            raise

    async def _ask_upstream(self, ask: Ask, fetch: Fetch, fill: Fill) -> Response:
        entry = ask.entry if ask.entry is not None and ask.entry.status == OK else None
        kept = {} if entry is None else by_name(entry.headers)
        headers = ask.headers
        asks_ours = not _VALIDATORS.isdisjoint(kept)
        if asks_ours:
            headers = with_conditions(headers, kept)
        elif fill.has_flight and not ask.plain:
            headers = without_conditions(headers)
        requested = self._now()
        response = await fetch(headers)
        try:
            if response.status == NOT_MODIFIED and entry is not None and asks_ours:
                if confirms(response.headers, kept):
                    return await self._confirmed(ask, entry, response, requested, fill)
                response.close()
                requested = self._now()
                response = await fetch(without_conditions(ask.headers))
            return await self._arrived(ask, response, requested, fill)
        except BaseException:
            response.close()
            raise

    async def _confirmed(self, ask: Ask, entry: Entry, response: Response, requested: int, fill: Fill) -> Response:
        """A 304: what is stored still holds (RFC 9111, 4.3.4)."""
        self.counts.revalidated += 1
        headers, now = _end_to_end(response), self._now()
        response.close()
        answer = Answer(entry.status, updated(entry.headers, headers), requested, now)
        terms = self._judge(ask, answer)
        if isinstance(terms, str):
            await self._records.drop(ask)
            fill.end(Verdict.ALONE)
            entry = Entry(answer.status, answer.headers, entry.body, entry.terms._replace(born=now), entry.selector)
        else:
            entry, _ = await self._keep(ask, answer, terms, fill, entry.body)
        cookies = [header for header in headers if header[0] == b"set-cookie"]
        return self._give(ask, entry, [*entry.told(now, ask.why + b"; fwd-status=304"), *cookies], now)

    async def _arrived(self, ask: Ask, response: Response, requested: int, fill: Fill) -> Response:
        """Any other answer: pass it on, and keep a copy where that is allowed."""
        if response.status in ERROR_STATUSES and (stale := self._on_error(ask)) is not None:
            response.close()
            fill.end(Verdict.FAILED)
            return stale
        answer = Answer(response.status, _end_to_end(response), requested, self._now())
        if ask.method == HEAD:
            return await self._head_arrived(ask, response, answer.headers, fill)
        limit = self._settings.max_body
        terms = self._judge(ask, answer)
        refusal = terms if isinstance(terms, str) else _unfit(response, limit)
        body = None if refusal else response.whole()
        if body is not None and len(body) > limit:
            refusal = "too-large"
        if isinstance(terms, str) or refusal:
            await self._refused(ask, response.status, fill)
            headers = [*response.headers, _status(ask.why, f"; detail={refusal}".encode())]
            return PassedAnswer(response, headers, body=body)
        if body is not None:
            entry, stored = await self._keep(ask, answer, terms, fill, body)
            if not ask.plain and _holds(ask, entry, answer.received):
                return self._give(ask, entry, entry.told(answer.received, ask.why), answer.received)
            how = b"; stored" if stored else b""
            return PassedAnswer(response, [*response.headers, _status(ask.why, how)], body=body)
        copy = Copy(fill, limit, functools.partial(self._keep, ask, answer, terms, fill))
        return PassedAnswer(response, [*response.headers, _status(ask.why)], copy=copy)

    async def _head_arrived(self, ask: Ask, response: Response, headers: list[Header], fill: Fill) -> Response:
        """An answer to HEAD is not kept, but may tell that what is stored has changed (RFC 9111, 4.3.5)."""
        if ask.entry is not None and response.status == OK and differs(headers, by_name(ask.entry.headers)):
            await self._records.drop(ask)
        fill.end(Verdict.ALONE)
        return PassedAnswer(response, [*response.headers, _status(ask.why)])

    def _on_error(self, ask: Ask) -> StoredAnswer | None:
        """What may be given because the upstream failed."""
        entry, now = ask.entry, self._now()
        if entry is None or not may_answer_on_error(entry.terms, ask.directives, now=now):
            return None
        return self._give_stale(ask, entry, now, _ON_ERROR)

    def _refresh(self, ask: Ask, fetch: Fetch) -> None:
        """Fetch a stale answer anew in the background, once however many ask for it."""
        key = ask.flight_key
        if key in self._flights or len(self._refreshes) >= MAX_REFRESHES or ask.method != GET:
            return
        task = asyncio.create_task(self._refreshed(ask, fetch, Flight(key, self._flights)))
        self._refreshes.add(task)
        task.add_done_callback(self._refreshes.discard)

    async def _refreshed(self, ask: Ask, fetch: Fetch, flight: Flight) -> None:
        try:
            response = await self._call(ask, fetch, flight)
            try:
                while isinstance(response, PassedAnswer) and response.is_copied:
                    await response.read()
            finally:
                response.close()
        except SignalboxError:
            pass  # whoever fetches has reported it; the next request tries again
        except Exception:  # noqa: BLE001 - nobody waits for this task
            _log.exception("a stale answer could not be fetched anew")

    # -- into the cache ---------------------------------------------------------------------------------------------

    def _judge(self, ask: Ask, answer: Answer) -> Terms | str:
        no_store = ask.directives.no_store
        return judge(answer, no_store=no_store, credentials=ask.credentials, settings=self._settings)

    async def _refused(self, ask: Ask, status: int, fill: Fill) -> None:
        """An answer that is not kept: those that wait go upstream too, one by one where it failed."""
        if status >= INTERNAL_ERROR:
            fill.fail()
            return
        if fill.has_flight:
            if len(self._passes) >= MAX_PASSES:
                self._passes.clear()
            self._passes[ask.flight_key] = self._now() + PASS_SECONDS * MICROSECONDS
        if status not in NEVER_STORED:
            await self._records.drop(ask)
        fill.end(Verdict.ALONE)

    async def _keep(self, ask: Ask, answer: Answer, terms: Terms, fill: Fill, body: bytes) -> tuple[Entry, bool]:
        """Store an answer, unless it was outdated meanwhile, and give it to those that wait."""
        headers = kept_headers(answer, terms, length=len(body))
        entry = Entry(answer.status, headers, body, terms, selector(terms.vary, ask.headers, ask.origin))
        stored = fill.valid and await self._records.put(ask, entry, now=self._now())
        if stored and not fill.valid:
            await self._records.forget(ask.key)
            stored = False
        if stored:
            self.counts.stored += 1
            self._passes.pop(ask.flight_key, None)
        fill.end(entry)
        return entry, stored

    # -- out of the cache -------------------------------------------------------------------------------------------

    async def _pass_on(self, ask: Ask, fetch: Fetch) -> Response:
        """Send a call whose method is neither GET nor HEAD, and forget what it has outdated."""
        self.counts.bypassed += 1
        response = await fetch(ask.headers)
        if ask.method not in SAFE_METHODS:
            places = (*self._urls, ask.origin.decode("latin-1"))
            try:
                for target in invalidated(ask.target, response.headers, status=response.status, places=places):
                    await self._outdate(self._records.key_of(target))
            except BaseException:
                response.close()
                raise
        return PassedAnswer(response, [*response.headers, _status(METHOD)])

    async def _outdate(self, key: bytes) -> None:
        self.counts.invalidated += 1
        self._fills.outdate(key)
        await self._records.forget(key)

    async def purge(self, *, prefix: str | None = None, path: str | None = None) -> int:
        """Forget what is stored of this upstream.

        Args:
            prefix: Only paths below this, at segment bounds: ``/a`` is ``/a``, ``/a?x`` and ``/a/b``, not ``/ab``.
            path: Only this path, with whatever query. Both are spelt as they are sent upstream.

        Returns:
            How many records there were: one for each answer, and one for each target whose answers differ.

        Raises:
            UnavailableError: the store is away, and holds it still.
        """
        prefixes = self._records.prefixes(prefix=prefix, path=path)
        self._fills.outdate_all(prefixes)
        return await self._records.purge(prefixes)

    async def close(self) -> None:
        """End what is fetched in the background. The store is closed by whoever opened it."""
        await asyncio.sleep(0)  # one that has not begun would not end its flight
        for task in self._refreshes:
            task.cancel()
        await asyncio.gather(*self._refreshes, return_exceptions=True)


def _end_to_end(response: Response) -> list[Header]:
    return response_headers(response.headers, status=response.status, request_id=b"")[:-1]


def _status(why: bytes, more: bytes = b"") -> Header:
    return b"cache-status", why + more


def _unfit(response: Response, limit: int) -> str | None:
    """Why a copy of an answer cannot be kept, as far as its head tells.

    One whose end is that of the connection is not: nobody can tell whether it is whole.
    """
    if response.status == NO_CONTENT:
        return None
    for name, value in response.headers:
        if name == b"content-length":
            return "too-large" if int(value) > limit else None
        if name == b"transfer-encoding":
            return None
    return "no-length"


def _holds(ask: Ask, entry: Entry, now: int) -> bool:
    """Whether the client holds the answer that it asks for under a condition."""
    return entry.status == OK and is_not_modified(by_name(ask.headers), by_name(entry.headers), now=now)
