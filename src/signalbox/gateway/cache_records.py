"""Where the answers of one upstream lie in the store, and how they are found, replaced and forgotten.

A target lies under one key, whatever host it was asked at, so that a call with an unsafe method outdates it for all.
Answers that differ, by ``Vary`` or by the host asked, lie under keys of their own, which a ``Varies`` under the
target's key leads to. What varies is added up: an answer that lacks the ``Vary`` of an earlier one still takes part.
"""

import random

from signalbox.core.times import MICROSECONDS
from signalbox.gateway.cache_ask import REQUEST, VARY, Ask
from signalbox.gateway.cache_entry import Entry, Record, Varies
from signalbox.gateway.cache_rules import MAX_VARY, selector
from signalbox.infra.cache import Cache

KEEP_SECONDS = 3_600
"""How long an answer that can be revalidated is kept after it was last of use otherwise."""
KEEP_VARIES_SECONDS = 86_400

_VALIDATORS = frozenset({b"etag", b"last-modified"})


class Records:
    """The records of one upstream, whose keys begin with its name."""

    def __init__(self, store: Cache[Record], upstream: str) -> None:
        self._store = store
        self._prefix = upstream.encode() + b"\0"

    def key_of(self, target: bytes) -> bytes:
        """The key of a target."""
        return self._prefix + target + b"\0"

    async def find(self, ask: Ask) -> Entry | None:
        """The answer that fits a request, fresh or not; ``ask`` learns where it lies, or why there is none."""
        key = ask.key = self._prefix + ask.target + b"\0"
        record = await self._store.get(key)
        expected = ask.origin
        if record.__class__ is Varies:
            expected = _follow(ask, record)
            record = await self._store.get(ask.place)
        return _fitting(ask, record, expected)

    def at_hand(self, ask: Ask) -> Entry | None:
        """As ``find``, of what can be had without waiting."""
        key = ask.key = self._prefix + ask.target + b"\0"
        record = self._store.at_hand(key)
        expected = ask.origin
        if record.__class__ is Varies:
            expected = _follow(ask, record)
            record = self._store.at_hand(ask.place)
        return _fitting(ask, record, expected)

    async def put(self, ask: Ask, entry: Entry, *, now: int) -> bool:
        """Store the answer to a request; whether the store took it."""
        terms = entry.terms
        last_use = max(terms.fresh_until, terms.stale_until, terms.error_until)
        seconds = (last_use - now) / MICROSECONDS
        if any(name in _VALIDATORS for name, _ in entry.headers):
            seconds += KEEP_SECONDS
        place = ask.key
        record = await self._store.get(place)
        is_other = isinstance(record, Entry) and record.selector != entry.selector
        if terms.vary or is_other or isinstance(record, Varies):
            place = await self._branch(ask, entry, record, seconds)
        return await self._store.set(place, entry, ttl=seconds)

    async def _branch(self, ask: Ask, entry: Entry, record: Record | None, seconds: float) -> bytes:
        """Make room for answers to one target that differ; returns where this one belongs."""
        known = record if isinstance(record, Varies) else None
        names = entry.terms.vary if known is None else tuple(sorted({*known.names, *entry.terms.vary}))
        if len(names) > MAX_VARY:
            names = entry.terms.vary
        if known is None or known.names != names:
            known = Varies(names, random.randbytes(8))
        entry.terms = entry.terms._replace(vary=known.names)
        entry.selector = selector(known.names, ask.headers, ask.origin)
        await self._store.set(ask.key, known, ttl=max(seconds, KEEP_VARIES_SECONDS))
        return ask.key + known.generation + entry.selector

    async def drop(self, ask: Ask) -> None:
        """Forget the answer that was found for a request, as it holds no more; not where the request says no-store."""
        if ask.entry is not None and not ask.directives.no_store:
            await self._store.delete(ask.place or ask.key)

    async def forget(self, key: bytes) -> None:
        """Forget every answer of a target."""
        await self._store.delete(key)

    async def purge(self, prefixes: tuple[bytes, ...]) -> int:
        """Forget everything whose key begins so; how many records that were."""
        return await self._store.purge(prefixes)

    def prefixes(self, *, prefix: str | None, path: str | None) -> tuple[bytes, ...]:
        """How the keys begin of all targets, those below a path prefix at segment bounds, or those of one path."""
        if path is not None:
            ends: tuple[str, ...] = ("?", "\0")
        elif prefix is None or prefix.endswith("/"):
            ends = ("",)
        else:
            ends = ("/", "?", "\0")
        start = path or prefix or ""
        return tuple(self._prefix + f"{start}{end}".encode() for end in ends)


def _follow(ask: Ask, varies: Varies) -> bytes:
    """Note where the answer to a request lies whose target has several; returns what its selector must be."""
    expected = selector(varies.names, ask.headers, ask.origin)
    ask.place = ask.key + varies.generation + expected
    ask.why = VARY
    return expected


def _fitting(ask: Ask, record: Record | None, expected: bytes) -> Entry | None:
    """The record if it is an answer that the request may be given; ``ask`` learns it, or why there is none."""
    if record.__class__ is not Entry:
        return None
    if record.selector != expected:
        ask.why = VARY
        return None
    if ask.credentials and not record.terms.shared:
        ask.why = REQUEST
        return None
    ask.entry = record
    return record
