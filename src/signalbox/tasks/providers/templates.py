"""Texts of settings with words in braces: ``https://api.example.com/jobs/{id}``, ``Bearer {secret.token}``.

A word is a name and, where what it names has parts, dots: ``{payload.customer.name}``. Nothing is executed and nothing
else is looked up. ``{{`` and ``}}`` are braces themselves.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from signalbox.core.errors import InvalidError

Words = Mapping[str, Any]
"""What the names stand for; tables have parts."""

_PIECE: Final = re.compile(r"\{\{|\}\}|\{([A-Za-z0-9_.-]*)\}|[{}]|[^{}]+")
_NOT_IN_HEADERS: Final = re.compile(r"[^\t -~]")
_DOT_SEGMENTS: Final = {"", ".", ".."}


class TemplateError(InvalidError):
    """A template cannot be read, or what it needs is not there."""

    code = "invalid_template"


class _Word(NamedTuple):
    name: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.name, *self.parts))


class Template:
    """A text with words.

    Raises:
        TemplateError: a brace is alone, or a word begins with none of ``names``.
    """

    def __init__(self, source: str, names: Collection[str]) -> None:
        self._pieces = list(_parse(source, names))
        self.words = frozenset(str(piece) for piece in self._pieces if isinstance(piece, _Word))
        """The words in it, with their parts."""

    def text(self, words: Words) -> str:
        """The text itself.

        Raises:
            TemplateError: a word's part is missing.
        """
        return self._fill(words, lambda value, _word: value)

    def header(self, words: Words) -> bytes:
        """The value of a header.

        Raises:
            TemplateError: a word's part is missing, or its value has characters that may not stand in a header.
        """
        return self._fill(words, _checked_for_header).encode("ascii")

    def url(self, words: Words) -> bytes:
        """A target with every value percent-encoded, so that it stays within its segment or parameter.

        The members of a list are encoded one by one and joined by commas.

        Raises:
            TemplateError: a word's part is missing, or a value would be another path: empty, ``.`` or ``..``.
        """
        return self._fill(words, _encoded).encode("ascii")

    def value(self, words: Words) -> Any:
        """What the template's only word stands for, of whatever type; else the text.

        Raises:
            TemplateError: a word's part is missing.
        """
        only = self._pieces[0] if len(self._pieces) == 1 else None
        return _look_up(only, words) if isinstance(only, _Word) else self.text(words)

    def _fill(self, words: Words, shape: Callable[[str, _Word], str]) -> str:
        return "".join(
            _shaped(_look_up(piece, words), piece, shape) if isinstance(piece, _Word) else piece
            for piece in self._pieces
        )


class BodyTemplate:
    """A JSON value whose texts are templates; a text that is one word becomes the value itself, of its own type.

    Raises:
        TemplateError: as for ``Template``.
    """

    def __init__(self, source: Any, names: Collection[str]) -> None:
        found: set[str] = set()
        self._fill = _filler(source, names, found)
        self.words = frozenset(found)
        """The words in it, with their parts."""

    def fill(self, words: Words) -> Any:
        """The value.

        Raises:
            TemplateError: a word's part is missing.
        """
        return self._fill(words)


def _parse(source: str, names: Collection[str]) -> Iterator[str | _Word]:
    for match in _PIECE.finditer(source):
        piece = match[0]
        if match[1] is not None:
            yield _word(match[1], names)
        elif piece in {"{", "}"}:
            msg = f"holds a single {piece}; words stand in braces, and a brace itself is written {piece * 2}"
            raise TemplateError(msg)
        else:
            yield piece[:1] if piece in {"{{", "}}"} else piece


def _word(text: str, names: Collection[str]) -> _Word:
    name, *parts = text.split(".")
    if name not in names or "" in parts:
        known = ", ".join(f"{{{each}}}" for each in sorted(names)) or "none"
        msg = f"holds the unknown word {{{text}}}; known here are: {known}"
        raise TemplateError(msg)
    return _Word(name, tuple(parts))


def _look_up(word: _Word, words: Words) -> Any:
    value = words[word.name]
    for part in word.parts:
        if not isinstance(value, Mapping) or part not in value:
            msg = f"there is no {word}"
            raise TemplateError(msg)
        value = value[part]
    return value


def _shaped(value: Any, word: _Word, shape: Callable[[str, _Word], str]) -> str:
    if isinstance(value, list | tuple):
        return ",".join(shape(_as_text(each), word) for each in value)
    return shape(_as_text(value), word)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _checked_for_header(value: str, word: _Word) -> str:
    if _NOT_IN_HEADERS.search(value):
        msg = f"{word} holds characters that may not stand in a header"
        raise TemplateError(msg)
    return value


def _encoded(value: str, word: _Word) -> str:
    if value in _DOT_SEGMENTS:
        msg = f"{word} is {value!r}, which may not stand in an address"
        raise TemplateError(msg)
    return quote(value, safe="")


def _filler(source: Any, names: Collection[str], found: set[str]) -> Callable[[Words], Any]:
    if isinstance(source, str):
        template = Template(source, names)
        found.update(template.words)
        return template.value
    if isinstance(source, Mapping):
        members = {key: _filler(value, names, found) for key, value in source.items()}
        return lambda words: {key: fill(words) for key, fill in members.items()}
    if isinstance(source, list | tuple):
        items = [_filler(value, names, found) for value in source]
        return lambda words: [fill(words) for fill in items]
    return lambda _words: source
