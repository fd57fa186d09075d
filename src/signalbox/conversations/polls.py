"""The searches over HTTP (raw ASGI): one way for all of them, with entity tags and a cache."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from signalbox.auth.doors import Parameter, Poll
from signalbox.auth.principal import Principal
from signalbox.conversations import answers
from signalbox.conversations.answers import Slice
from signalbox.conversations.errors import InvalidQueryError
from signalbox.conversations.filters import (
    DEFAULT_PER_PAGE,
    LARGEST,
    MAX_PER_PAGE,
    NAMES,
    PARAMETERS,
    Filter,
    parse_query,
    to_filter,
    to_flag,
    to_number,
)
from signalbox.conversations.runtime import Compute, ConversationRuntime, Kept
from signalbox.conversations.schemas import (
    KINDS,
    CountOut,
    OneOut,
    PageOut,
    StatisticsOut,
    ThreadOut,
    TranscriptOut,
)
from signalbox.conversations.searching import Searcher
from signalbox.core.asgi import Receive, Scope, Send, answer
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, decode_cursor, encode_cursor, next_link

PATH: Final = "/api/conversations"
READ: Final = "conversations:read"

_JSON = (b"content-type", b"application/json")
_FRESH = (b"cache-control", b"private, no-cache")  # may be kept, and is asked for again with its entity tag
_MEMORY: Final = 1_024
"""Queries whose meaning is remembered."""
_ENCODER: Final = msgspec.json.Encoder()
_TAG: Final = Parameter("If-None-Match", "header", "`ETag` of what you have: 304 while it is current.")
_LIMIT: Final = Parameter("limit", "query", f"How many at most, 1 to {MAX_LIMIT}.", "integer")
_CURSOR: Final = Parameter("cursor", "query", "From the `Link` header of the page before.")


class Question(NamedTuple):
    """What is asked, in one form for all spellings; part of the key of its answer."""

    name: str
    wanted: Filter = Filter()
    first: int = 0
    """Page, place in a list, or id."""
    size: int = 0
    detail: bool = False

    def digest(self) -> str:
        """What tells it from others."""
        return hashlib.blake2b(repr(tuple(self)).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


class Searches:
    """The endpoints that analysts ask at."""

    def __init__(self, runtime: ConversationRuntime) -> None:
        self._runtime = runtime

    def polls(self) -> list[Poll]:
        """Their declarations."""
        pages = (
            *PARAMETERS,
            Parameter("page", "query", "From 1 on; one past the end is empty.", "integer"),
            Parameter("per_page", "query", f"1 to {MAX_PER_PAGE}.", "integer"),
            Parameter("detail", "query", "`true`: `conversations` with all that is known instead of ids.", "boolean"),
        )
        lists = (*PARAMETERS, _LIMIT, _CURSOR)
        kind = (Parameter("kind", "query", "`conversation` (the default) or `monologue`."),)
        return [
            self._poll(PATH, _to_page, "Find conversations", PageOut, pages),
            self._poll(f"{PATH}/statistics", _to_statistics, "What was found, in numbers", StatisticsOut, PARAMETERS),
            self._poll(PATH + "/{number}", _to_one, "One conversation and its neighbours", OneOut, kind),
            self._poll("/api/transcripts", _to_list, "Transcripts", list[TranscriptOut], lists),
            self._poll("/api/transcripts/{number}", _to_thread, "A transcript as a whole", ThreadOut, ()),
            self._poll("/api/companies", _to_list, "Companies, with counts", list[CountOut], lists),
            self._poll("/api/tags", _to_list, "Tags, with counts", list[CountOut], lists),
        ]

    def _poll(self, path: str, read: "Read", summary: str, body: Any, parameters: tuple[Parameter, ...]) -> Poll:
        name = path.removeprefix("/api/")

        async def handle(scope: Scope, _receive: Receive, send: Send, _principal: Principal) -> None:
            await self._serve(scope, send, read(name, scope["query_string"], scope["path_params"].get("number", "")))

        return Poll(
            path=path,
            scope=READ,
            handle=handle,
            summary=summary,
            answer=body,
            parameters=(*parameters, _TAG),
            responses={304: "What you have is current", 422: "A parameter is wrong"},
            tags=("conversations",),
        )

    async def _serve(self, scope: Scope, send: Send, question: Question) -> None:
        searcher = await self._runtime.searcher()
        digest = f"{searcher.version}-{searcher.stamp}-{question.digest()}".encode()
        etag = b'"' + digest + b'"'
        had = [value.strip() for name, value in scope["headers"] if name == b"if-none-match"]
        found = None
        if not any(etag in value for value in had):
            found = await self._runtime.answer(b"conversations:" + digest, searcher, _computation(question))
        if found is None or b"*" in had:  # which stands for whatever there is, and so needs an answer that is there
            await answer(scope, send, status=304, headers=[(b"etag", etag), _FRESH], body=b"")
            return
        headers = [_JSON, (b"content-length", b"%d" % len(found.body)), (b"etag", etag), _FRESH]
        if found.next is not None:
            path = scope.get("root_path", "") + "/api/" + question.name
            link = next_link(path, scope["query_string"].decode("latin-1"), encode_cursor(found.next))
            headers.append((b"link", link.encode("latin-1")))
        await answer(scope, send, status=200, headers=headers, body=found.body)


Read = Callable[[str, bytes, str], Question]
"""Makes a question of the path's name, the query, and the number in the path."""


# -- questions --------------------------------------------------------------------------------------------------------


@lru_cache(_MEMORY)
def _to_page(name: str, query: bytes, _number: str) -> Question:
    given = parse_query(query, (*NAMES, "page", "per_page", "detail"))
    page = to_number(given, "page", least=1, most=10**9)
    size = to_number(given, "per_page", least=1, most=MAX_PER_PAGE)
    return Question(name, to_filter(given), page or 1, size or DEFAULT_PER_PAGE, to_flag(given, "detail"))


@lru_cache(_MEMORY)
def _to_list(name: str, query: bytes, _number: str) -> Question:
    given = parse_query(query, (*NAMES, "limit", "cursor"))
    size = to_number(given, "limit", least=1, most=MAX_LIMIT)
    first = decode_cursor(given["cursor"]) if "cursor" in given else 0
    return Question(name, to_filter(given), first, size or DEFAULT_LIMIT)


def _to_statistics(name: str, query: bytes, _number: str) -> Question:
    return Question(name, to_filter(parse_query(query, NAMES)))


def _to_one(name: str, query: bytes, number: str) -> Question:
    kind = parse_query(query, ("kind",)).get("kind") or "conversation"
    code = next((code for code, name_of in enumerate(KINDS) if name_of == kind), None)
    if code is None:
        msg = f"is one of {', '.join(KINDS)}"
        raise InvalidQueryError(msg, field="kind")
    return Question(name, first=_to_id(number), size=code)


def _to_thread(name: str, query: bytes, number: str) -> Question:
    parse_query(query, ())
    return Question(name, first=_to_id(number))


def _to_id(number: str) -> int:
    return to_number({"id": number}, "id", least=-LARGEST, most=LARGEST) or 0


# -- answers ----------------------------------------------------------------------------------------------------------


def _computation(question: Question) -> Compute:
    """What is to be done in a thread, with a snapshot of the database."""

    def compute(tx: Connection, searcher: Searcher) -> Kept:
        found = _COMPUTATIONS[question.name](tx, searcher, question)
        if isinstance(found, Slice):
            return Kept(_ENCODER.encode(found.items), found.next)
        return Kept(_ENCODER.encode(found))

    return compute


def _page(tx: Connection, searcher: Searcher, question: Question) -> Any:
    wanted, number, size = question.wanted, question.first, question.size
    found = answers.search(tx, searcher, wanted)
    if question.detail:
        return answers.detail_page(tx, searcher, found, number=number, size=size)
    return answers.page(searcher, found, number=number, size=size, wanted=wanted)


def _list(of: Callable[..., Slice]) -> Callable[[Connection, Searcher, Question], Slice]:
    return lambda tx, searcher, question: of(tx, searcher, question.wanted, first=question.first, limit=question.size)


_COMPUTATIONS: Final[dict[str, Callable[[Connection, Searcher, Question], Any]]] = {
    "conversations": _page,
    "conversations/statistics": lambda tx, searcher, question: answers.statistics(tx, searcher, question.wanted),
    "conversations/{number}": lambda tx, searcher, question: answers.one(tx, searcher, question.first, question.size),
    "transcripts": _list(answers.transcripts),
    "transcripts/{number}": lambda tx, searcher, question: answers.thread(tx, searcher, question.first),
    "companies": _list(answers.companies),
    "tags": _list(answers.tags),
}
