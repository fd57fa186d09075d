"""What a shared cache may do with a request and an answer: the rules of RFC 9111, as pure functions.

Instants and spans are integer microseconds; header names are in lower case. Where the RFC leaves a choice, the
stricter one is taken: what is unclear is not stored, or is asked for again.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from signalbox.core.times import MICROSECONDS
from signalbox.gateway.cache_control import (
    FOREVER,
    Directives,
    Fields,
    Header,
    by_name,
    format_date,
    parse_date,
    parse_directives,
    parse_seconds,
)

OK, NO_CONTENT, NOT_MODIFIED, BAD_REQUEST, INTERNAL_ERROR = 200, 204, 304, 400, 500

HEURISTIC_STATUSES = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
"""Statuses that may be stored without a word about freshness (RFC 9110, 15.1), but 206, of which none is stored."""
UNDERSTOOD_STATUSES = HEURISTIC_STATUSES | {302, 303, 307, 400, 401, 403, 406, 409, 421, 422, 451, 500, 502, 503, 504}
"""Statuses whose meaning for caches is known, for ``must-understand`` (RFC 9111, 5.2.2.3)."""
NEVER_STORED = frozenset({206, 304})
"""A part, and a word about what is stored already."""
ERROR_STATUSES = frozenset({500, 502, 503, 504})
"""What ``stale-if-error`` takes for an error (RFC 5861, 4)."""
SAFE_METHODS = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})

MAX_VARY = 16
"""Request headers that one answer may vary by; one that names more is not stored."""

_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_LISTS = frozenset({b"accept", b"accept-charset", b"accept-encoding", b"accept-language"})
"""Headers that are lists without regard to case."""
_SAID_BY_ORIGIN = frozenset({b"host", b"x-forwarded-host", b"x-forwarded-proto"})
"""Request headers that the gateway makes of the address asked for, which always selects among stored answers."""
_MADE = frozenset({b"via", b"forwarded", b"x-request-id", b"traceparent", b"tracestate"})
"""Request headers that the gateway makes for each call; an answer that varies by them fits no other."""
_NOT_UPDATED = frozenset({b"content-encoding", b"content-length", b"content-range", b"set-cookie"})
"""What a 304 does not change in a stored answer (RFC 9111, 3.2)."""
_TELLING = (b"etag", b"last-modified", b"content-length")
_NAMING = frozenset({b"location", b"content-location"})
_ETAG = re.compile(rb'"[!#-~\x80-\xff]*"')
_REPRESENTATION = frozenset({b"content-encoding", b"content-language", b"content-length", b"content-type"})
"""What a 304 leaves out (RFC 9110, 15.4.5)."""
OWN_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since"})
"""What the cache answers itself, and asks itself."""

Span = Annotated[float, Field(ge=0, le=FOREVER)]
"""Seconds."""


def _lower(name: str) -> str:
    if _FIELD_NAME.fullmatch(name.lower()) is None:
        msg = "is the name of a header, such as x-api-key"
        raise ValueError(msg)
    return name.lower()


FieldName = Annotated[str, AfterValidator(_lower)]


class CacheSettings(BaseModel):
    """The cache of one upstream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = False
    """Whether answers are kept at all."""
    max_body: Annotated[int, Field(ge=0)] = 1024**2
    """Largest body in bytes that is kept; larger answers pass without."""
    default_ttl: Annotated[float, Field(gt=0, le=FOREVER)] | None = None
    """Seconds that an answer with one of ``statuses`` is fresh if it does not say; unset: see ``max_heuristic_ttl``."""
    statuses: frozenset[int] = HEURISTIC_STATUSES
    """Statuses that are kept without a word about freshness; others are kept only if the answer says how long."""
    max_heuristic_ttl: Span = 86_400.0
    """An answer that tells only when it was last modified is fresh for a tenth of its age then, at most for these
    seconds; 0: not at all."""
    stale_while_revalidate: Span = 0.0
    """Seconds for which a stale answer is given while a new one is fetched, where the answer itself does not say."""
    stale_if_error: Span = 0.0
    """Seconds for which a stale answer is given when the upstream fails, where the answer itself does not say."""
    collapse_timeout: Annotated[float, Field(gt=0, le=86_400)] = 5.0
    """Seconds that a request waits for another that fetches the same, before it is sent on itself."""
    vary: list[FieldName] = []
    """Request headers that answers depend on although their ``Vary`` does not say so."""
    credentials: list[FieldName] = ["authorization", "token", "app-name", "cookie", "x-api-key", "api-key"]
    """Request headers that say who asks. Requests with one share only answers that allow it, as RFC 9111, 3.5 has it
    for ``Authorization``."""


# -- age and freshness -----------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """An answer to be judged: its headers are end-to-end only; the instants are those of the call upstream."""

    status: int
    headers: list[Header]
    requested: int
    received: int


class Terms(NamedTuple):
    """For how long a stored answer may be used."""

    born: int
    """The answer's age counts from here: the present less this is its current age (RFC 9111, 4.2.3)."""
    fresh_until: int
    stale_until: int
    """Given stale until then while a new one is fetched."""
    error_until: int
    """Given stale until then if the upstream fails."""
    must_revalidate: bool
    """Never given stale at a client's word."""
    shared: bool
    """May be given to requests with credentials."""
    vary: tuple[bytes, ...]
    withheld: frozenset[bytes]
    """Headers that are not kept."""


def initial_age(fields: Fields, *, date: int, requested: int, received: int) -> int:
    """An answer's age on arrival, at least 0 (RFC 9111, 4.2.3). Of several ``Age`` values the first counts."""
    said = parse_seconds(fields[b"age"][0].split(b",")[0].strip()) if b"age" in fields else None
    corrected = (said or 0) * MICROSECONDS + max(0, received - requested)
    return max(0, received - date, corrected)


def freshness_lifetime(answer: Answer, fields: Fields, said: Directives, *, date: int, settings: CacheSettings) -> int:
    """For how long an answer is fresh from when it was made (RFC 9111, 4.2.1 and 4.2.2)."""
    explicit = said.max_age if said.s_maxage is None else said.s_maxage
    if explicit is not None:
        return explicit * MICROSECONDS
    if b"expires" in fields:
        values = fields[b"expires"]
        expires = parse_date(values[0], now=answer.received) if len(values) == 1 else None
        return 0 if expires is None else min(max(0, expires - date), FOREVER * MICROSECONDS)
    if answer.status not in settings.statuses and not said.public:
        return 0
    if settings.default_ttl is not None and answer.status in settings.statuses:
        return round(settings.default_ttl * MICROSECONDS)
    modified = parse_date(fields[b"last-modified"][0], now=answer.received) if b"last-modified" in fields else None
    if modified is None:
        return 0
    return min(max(0, date - modified) // 10, round(settings.max_heuristic_ttl * MICROSECONDS))


def judge(answer: Answer, *, no_store: bool = False, credentials: bool = False, settings: CacheSettings) -> Terms | str:
    """The terms on which an answer to GET may be kept, or in a word why it may not (RFC 9111, 3).

    ``no_store`` tells whether the request said so, ``credentials`` whether it said who asks. An answer with a
    ``Set-Cookie`` is not kept whatever else it says, unless ``private`` or ``no-cache`` name that header, which is then
    left out: such a cookie is as good as always meant for one client. ``s-maxage`` forbids a stale answer as
    ``proxy-revalidate`` does (5.2.2.10), but for what the same answer's ``stale-*`` directives allow.
    """
    fields = by_name(answer.headers)
    said = parse_directives(fields.get(b"cache-control", ()))
    vary = vary_names(fields.get(b"vary", ()), settings.vary)
    shared = said.public or said.s_maxage is not None or said.must_revalidate
    reason = _refusal(answer.status, fields, said, no_store=no_store)
    if reason is not None:
        return reason
    if credentials and not shared:
        return "credentials"
    if vary is None:
        return "vary"
    terms = _terms(answer, fields, said, settings)._replace(shared=shared, vary=vary)
    return terms if _is_worth_it(answer, fields, terms, said, settings) else "no-freshness"


def _refusal(status: int, fields: Fields, said: Directives, *, no_store: bool) -> str | None:
    """Why an answer is kept for nobody."""
    understood = said.must_understand and status in UNDERSTOOD_STATUSES
    if status in NEVER_STORED or (said.must_understand and not understood):
        return "status"
    if no_store or (said.no_store and not understood):
        return "no-store"
    if said.private:
        return "private"
    if b"set-cookie" in fields and b"set-cookie" not in said.withheld:
        return "set-cookie"
    return None


def _terms(answer: Answer, fields: Fields, said: Directives, settings: CacheSettings) -> Terms:
    now = answer.received
    dates = fields.get(b"date", ())
    date = parse_date(dates[0], now=now) if dates else None
    date = now if date is None else date
    born = now - initial_age(fields, date=date, requested=answer.requested, received=now)
    strict = said.no_cache or said.must_revalidate
    lifetime = 0 if said.no_cache else freshness_lifetime(answer, fields, said, date=date, settings=settings)
    by_default = not strict and said.s_maxage is None
    while_revalidate = settings.stale_while_revalidate if by_default else 0.0
    if_error = settings.stale_if_error if by_default else 0.0
    if not strict:
        while_revalidate = _first(said.stale_while_revalidate, while_revalidate)
        if_error = _first(said.stale_if_error, if_error)
    fresh_until = born + lifetime
    return Terms(
        born=born,
        fresh_until=fresh_until,
        stale_until=fresh_until + round(while_revalidate * MICROSECONDS),
        error_until=fresh_until + round(if_error * MICROSECONDS),
        must_revalidate=strict or said.s_maxage is not None,
        shared=False,
        vary=(),
        withheld=said.withheld,
    )


def _first(said: int | None, otherwise: float) -> float:
    return otherwise if said is None else said


def _is_worth_it(answer: Answer, fields: Fields, terms: Terms, said: Directives, settings: CacheSettings) -> bool:
    """Whether the answer allows to be kept, and can be of use again: without a request upstream, or in one."""
    explicit = said.public or said.max_age is not None or said.s_maxage is not None or b"expires" in fields
    if not explicit and answer.status not in settings.statuses:
        return False
    has_validator = answer.status == OK and (b"etag" in fields or b"last-modified" in fields)
    return has_validator or max(terms.fresh_until, terms.stale_until, terms.error_until) > answer.received


def may_answer(terms: Terms, asked: Directives, *, now: int) -> bool:
    """Whether a stored answer may be given at the request's word without asking upstream (RFC 9111, 4.2 and 5.2.1).

    ``max-age=0`` always asks, even in the moment in which the answer came.
    """
    if asked.no_cache:
        return False
    if asked.max_age is not None and (asked.max_age == 0 or now - terms.born > asked.max_age * MICROSECONDS):
        return False
    left = terms.fresh_until - now
    if asked.min_fresh is not None and left < asked.min_fresh * MICROSECONDS:
        return False
    if left > 0 or asked.max_stale is None or terms.must_revalidate:
        return left > 0
    return -left <= asked.max_stale * MICROSECONDS


def may_answer_stale(terms: Terms, asked: Directives, *, now: int) -> bool:
    """Whether a stored answer may be given now while a new one is fetched (RFC 5861, 3)."""
    return now < terms.stale_until and not asked.no_cache and asked.max_age is None and asked.min_fresh is None


def may_answer_on_error(terms: Terms, asked: Directives, *, now: int) -> bool:
    """Whether a stored answer may be given because the upstream failed (RFC 5861, 4); the request may allow it too."""
    if asked.no_cache:
        return False
    asked_for = 0 if asked.stale_if_error is None or terms.must_revalidate else asked.stale_if_error
    return now < max(terms.error_until, terms.fresh_until + asked_for * MICROSECONDS)


# -- which stored answer fits -----------------------------------------------------------------------------------------


def vary_names(values: Sequence[bytes], more: Sequence[str] = ()) -> tuple[bytes, ...] | None:
    """The request headers that select among stored answers, in order; None where no other request can ever fit.

    The address asked for is no part of them: it always selects, so ``Host`` and the headers made of it are left out.
    """
    if not values and not more:
        return ()
    names = {name.strip().lower() for value in values for name in value.split(b",")} - {b""}
    names |= {name.encode() for name in more}
    names -= _SAID_BY_ORIGIN
    if b"*" in names or len(names) > MAX_VARY or not _MADE.isdisjoint(names):
        return None
    if any(name.startswith(b"x-forwarded-") for name in names):
        return None
    return tuple(sorted(names))


def selector(names: Sequence[bytes], headers: Sequence[Header], origin: bytes) -> bytes:
    """What requests for which the same stored answer fits have in common (RFC 9111, 4.1).

    Args:
        names: Of headers, as ``vary_names`` gives them.
        headers: Of the request.
        origin: The scheme and host asked for. It is the selector itself where no names are.
    """
    if not names:
        return origin
    digest = blake2b(origin, digest_size=16)
    for name in names:
        values = [value for each, value in headers if each == name]
        text = normalized(name, b",".join(values)) if values else b""
        digest.update(b"%d,%d:%b" % (len(values) > 0, len(text), text))
    return digest.digest()


def normalized(name: bytes, value: bytes) -> bytes:
    """A header's value in a spelling shared by values that mean the same, as far as its name tells.

    ``Accept`` and its like lose case and blanks; the members of ``Accept-Encoding`` are put in order as well.
    """
    if name not in _LISTS:
        return value.strip()
    members = [b"".join(member.split()) for member in value.lower().split(b",")]
    if name == b"accept-encoding":
        members.sort()
    return b",".join(filter(None, members))


# -- conditions (RFC 9110, 13; RFC 9111, 4.3) -------------------------------------------------------------------------


def is_not_modified(asked: Fields, kept: Fields, *, now: int) -> bool:
    """Whether the client holds what is stored, by the conditions it asks under; ``If-None-Match`` goes first."""
    if b"if-none-match" in asked:
        return _matches(b",".join(asked[b"if-none-match"]), kept.get(b"etag", (b"",))[0])
    if b"if-modified-since" not in asked or b"last-modified" not in kept:
        return False
    since, modified = asked[b"if-modified-since"][0], kept[b"last-modified"][0]
    if since == modified:
        return True
    then, last = parse_date(since, now=now), parse_date(modified, now=now)
    return then is not None and last is not None and last <= then


def _matches(condition: bytes, etag: bytes) -> bool:
    """The weak comparison (RFC 9110, 8.8.3.2)."""
    if condition.strip() == b"*":
        return True
    return bool(etag) and etag.removeprefix(b"W/") in _ETAG.findall(condition)


def with_conditions(headers: Sequence[Header], kept: Fields) -> list[Header]:
    """A request's headers, asking whether what is stored still holds instead of what the client asks."""
    asking = [header for header in headers if header[0] not in OWN_CONDITIONS]
    if b"etag" in kept:
        asking.append((b"if-none-match", kept[b"etag"][0]))
    if b"last-modified" in kept:
        asking.append((b"if-modified-since", kept[b"last-modified"][0]))
    return asking


def without_conditions(headers: Sequence[Header]) -> list[Header]:
    """A request's headers, asking for the whole answer."""
    return [header for header in headers if header[0] not in OWN_CONDITIONS]


def confirms(headers: Sequence[Header], kept: Fields) -> bool:
    """Whether a 304 is about the stored answer: it names no other entity tag (RFC 9111, 4.3.4)."""
    said = [value for name, value in headers if name == b"etag"]
    if not said or b"etag" not in kept:
        return True
    return said[0].removeprefix(b"W/") == kept[b"etag"][0].removeprefix(b"W/")


def updated(kept: Sequence[Header], fresh: Sequence[Header]) -> list[Header]:
    """Stored headers after a 304 (RFC 9111, 3.2): what it says replaces what was said, but about the body.

    Without a ``Date`` or ``Age`` of its own the answer counts as made now.
    """
    said = [header for header in fresh if header[0] not in _NOT_UPDATED]
    replaced = {name for name, _ in said} | {b"date", b"age"}
    return [header for header in kept if header[0] not in replaced] + said


def kept_headers(answer: Answer, terms: Terms, *, length: int) -> list[Header]:
    """The headers to store: without what may not be kept, with the body's length and a date."""
    left_out = terms.withheld | {b"age", b"content-length"}
    kept = [header for header in answer.headers if header[0] not in left_out]
    if all(name != b"date" for name, _ in kept):
        kept.append((b"date", format_date(answer.received)))
    if answer.status != NO_CONTENT:
        kept.append((b"content-length", b"%d" % length))
    return kept


def not_modified_headers(headers: Sequence[Header]) -> list[Header]:
    """What of an answer's headers a 304 carries (RFC 9110, 15.4.5)."""
    return [header for header in headers if header[0] not in _REPRESENTATION]


def differs(headers: Sequence[Header], kept: Fields) -> bool:
    """Whether an answer to HEAD shows that what is stored has changed (RFC 9111, 4.3.5)."""
    said = by_name(headers)
    return any(said[name] != kept[name] for name in _TELLING if name in said and name in kept)


# -- invalidation (RFC 9111, 4.4) -------------------------------------------------------------------------------------


def invalidated(target: bytes, answer: Sequence[Header], *, status: int, places: Sequence[str]) -> set[bytes]:
    """The targets whose stored answers a call with an unsafe method has outdated.

    Args:
        target: Path and query of the call.
        answer: Headers of the answer; ``Location`` and ``Content-Location`` may name a second and a third target.
        status: Of the answer; only one that is no error outdates anything.
        places: Addresses under which targets are known: those of the upstream's servers, and ``scheme://host`` that
            the client asked. What the answer names elsewhere is left alone.
    """
    if not OK <= status < BAD_REQUEST:
        return set()
    references = [value for name, value in answer if name in _NAMING]
    named = [_target_of(reference, target, place) for reference in references for place in places]
    return {target, *filter(None, named)}


def _target_of(reference: bytes, target: bytes, place: str) -> bytes | None:
    """The target below ``place`` that a reference in an answer to a call there means."""
    try:
        here = urlsplit(place)
        base = here.path.rstrip("/")
        there = urlsplit(
            urljoin(f"{here.scheme}://{here.netloc}{base}{target.decode('ascii')}", reference.decode("ascii"))
        )
        if _server(there) != _server(here) or not there.path.startswith(base):
            return None
    except ValueError:  # not ASCII, or no address
        return None
    path = there.path.removeprefix(base) or "/"
    return (f"{path}?{there.query}" if there.query else path).encode("ascii")


def _server(address: SplitResult) -> tuple[str, str | None, int | None]:
    return address.scheme, address.hostname, address.port or {"http": 80, "https": 443}.get(address.scheme)
