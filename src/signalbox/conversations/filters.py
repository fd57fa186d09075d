"""What a search asks for, as the query of a request says it; one form for all spellings of the same."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from signalbox.auth.doors import Parameter
from signalbox.conversations.dates import parse_bound
from signalbox.conversations.errors import InvalidQueryError
from signalbox.conversations.schemas import KINDS, Kind
from signalbox.conversations.words import cut

T = TypeVar("T", bound=str)

DEFAULT_PER_PAGE: Final = 50
MAX_PER_PAGE: Final = 500
LARGEST: Final = 2**63 - 1
_LONGEST: Final = 4_000
_COMMA: Final = "%2c"  # a name's own; clients encode the commas between names too, so that in the query all look alike

PARAMETERS: Final = (
    Parameter(
        "company",
        "query",
        "Part of a company's name, in any case; a number that is the id of one means that one alone.",
    ),
    Parameter(
        "tags",
        "query",
        "Names of tags with commas between, in any case; a comma inside a name is written `%2C` before the query is encoded.",
    ),
    Parameter(
        "match", "query", "`any` of the tags (the default), or `all`: of transcripts in which all of them occur."
    ),
    Parameter("transcript", "query", "Id of a transcript.", "integer"),
    Parameter("type", "query", "Type of the transcript: `conversation` or `monologue` (includes monologues)."),
    Parameter("speaker", "query", "Part of a speaker's name, in any case (includes monologues)."),
    Parameter("q", "query", "Words that must all occur in question, answer or content."),
    Parameter("since", "query", "Published at or after a day, `2026-01-31`, or an instant with its zone."),
    Parameter("until", "query", "Published at or before."),
    Parameter("monologues", "query", "`include`: monologues too."),
)
NAMES: Final = tuple(each.name for each in PARAMETERS)


class Filter(NamedTuple):
    """A search. Equal searches are equal values, however they were spelt."""

    company: str = ""
    tags: tuple[str, ...] = ()
    all_tags: bool = False
    transcript: int | None = None
    type: Kind | None = None
    speaker: str = ""
    words: tuple[str, ...] | None = None
    """Those of ``q``; an empty tuple where it has none, which finds nothing."""
    since: int | None = None
    until: int | None = None
    monologues: bool = False


def parse_query(query: bytes, allowed: Iterable[str]) -> dict[str, str]:
    """The parameters of a query; those of ``tags`` are joined.

    Raises:
        InvalidQueryError: one is unknown, too long, or stands there twice.
    """
    known, found = frozenset(allowed), dict[str, str]()
    if len(query) > _LONGEST:
        msg = f"has at most {_LONGEST} bytes"
        raise InvalidQueryError(msg, field="query")
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in known:
            msg = f"is not known here; known are {', '.join(sorted(known))}"
            raise InvalidQueryError(msg, field=name)
        if name in found and name != "tags":
            msg = "stands there twice"
            raise InvalidQueryError(msg, field=name)
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def to_filter(query: Mapping[str, str]) -> Filter:
    """The search that parameters ask for.

    Raises:
        InvalidQueryError: a value is not of its form.
    """
    kind: Kind | None = _one_of(query, "type", KINDS)
    speaker = fold(query.get("speaker", ""))
    tags = sorted({fold(name).replace(_COMMA, ",") for name in query.get("tags", "").split(",")} - {""})
    wide = _one_of(query, "match", ("any", "all")) != "all"
    words = query.get("q", "")
    return Filter(
        company=fold(query.get("company", "")),
        tags=tuple(tags),
        all_tags=not wide and len(tags) > 1,
        transcript=to_number(query, "transcript", least=-LARGEST, most=LARGEST),
        type=kind,
        speaker=speaker,
        words=tuple(sorted(set(cut(words)))) if words.strip() else None,
        since=_to_bound(query, "since", end=False),
        until=_to_bound(query, "until", end=True),
        monologues=_one_of(query, "monologues", ("include",)) is not None or bool(speaker) or kind == "monologue",
    )


def fold(text: str) -> str:
    """A name as it is compared."""
    return text.strip().casefold()


def to_number(query: Mapping[str, str], name: str, *, least: int, most: int) -> int | None:
    """A whole number of the query; None where it is not there, or empty as forms send it.

    Raises:
        InvalidQueryError: it is none, or out of bounds.
    """
    text = query.get(name)
    if not text:
        return None
    if re.fullmatch(r"-?[0-9]{1,19}", text) is None or not least <= int(text) <= most:
        msg = "is a whole number" if most == LARGEST else f"is a whole number from {least} to {most}"
        raise InvalidQueryError(msg, field=name)
    return int(text)


def to_flag(query: Mapping[str, str], name: str) -> bool:
    """Whether the query says ``true``.

    Raises:
        InvalidQueryError: it says something else than true or false.
    """
    return _one_of(query, name, ("true", "false", "1", "0")) in {"true", "1"}


def _one_of(query: Mapping[str, str], name: str, words: Sequence[T]) -> T | None:
    text = query.get(name)
    if not text:
        return None
    for word in words:
        if text == word:
            return word
    msg = f"is one of {', '.join(words)}"
    raise InvalidQueryError(msg, field=name)


def _to_bound(query: Mapping[str, str], name: str, *, end: bool) -> int | None:
    text = query.get(name)
    if not text:
        return None
    try:
        return parse_bound(text, end=end)
    except (ValueError, OverflowError):
        msg = "is a day, 2026-01-31, or an instant with its zone"
        raise InvalidQueryError(msg, field=name) from None
