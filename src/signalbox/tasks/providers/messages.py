"""What a provider says when it refuses something, made fit to be kept and shown."""

import re
from typing import Any, Final

import msgspec

LONGEST: Final = 500
"""Characters that are kept."""

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for text that is no JSON, no UTF-8, or nested without end."""

_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")
_FIELDS: Final = ("message", "error_message", "error_description", "error", "detail", "title", "errors", "msg")
"""Where APIs put their sentence, the most telling first; ``detail`` and ``title`` are those of problem details."""

_DEEPEST: Final = 4


def clean(text: str, *, longest: int = LONGEST) -> str:
    """The text in one line, without control characters and what turns the direction of writing; at most ``longest``."""
    if len(text) <= longest and text.isprintable() and "  " not in text and text == text.strip():
        return text  # nearly every one, and a poll brings them by the ten thousand
    seen = _UNSEEN.sub(" ", text[: 4 * longest])
    line = " ".join(seen.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def as_message(value: Any, *, longest: int = LONGEST) -> str | None:
    """A message as it stands in JSON: text, else whatever it is, written out; None for null and the empty text."""
    if value is None or value == "":
        return None
    return clean(value if isinstance(value, str) else msgspec.json.encode(value).decode(), longest=longest) or None


def complaint_of(body: bytes) -> str | None:
    """The sentence in the body of an error answer: that of JSON, else the beginning of the text; None without one."""
    text = body.decode("utf-8", "replace")
    try:
        value = msgspec.json.decode(body)
    except UNREADABLE:
        return clean(text) or None
    return _sentence(value, depth=0) or as_message(value)


def _sentence(value: Any, *, depth: int) -> str | None:
    if isinstance(value, str):
        return clean(value) or None
    if depth == _DEEPEST:
        return None
    if isinstance(value, list) and value:
        return _sentence(value[0], depth=depth + 1)
    if isinstance(value, dict):
        found = (_sentence(value[field], depth=depth + 1) for field in _FIELDS if field in value)
        return next((sentence for sentence in found if sentence), None)
    return None
