"""Reads a provider's answers: what a poll shows of each task, what a submission or a look-up says of one."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from signalbox.tasks.providers import PollFailedError, Receipt, Sighting, Sightings
from signalbox.tasks.providers.messages import UNREADABLE, as_message, clean
from signalbox.tasks.providers.places import MISSING, find, parse_place
from signalbox.tasks.providers.statuses import StatusWords

SLICE: Final = 2_000
"""Elements that are read before others get their turn on the loop: a few milliseconds' worth."""

_LONGEST_KEY: Final = 500
_EXCERPT: Final = 60

_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape in JSON text; its group is half of a surrogate pair, as is left where a message was cut through an emoji."""

_pieces = msgspec.json.Decoder(list[msgspec.Raw])
_anything = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Shape:
    """Where things stand in a provider's answers, each as ``places`` writes it."""

    items: str = ""
    """The list of tasks in a poll's answer."""
    id: str = "id"
    status: str = "status"
    message: str = "error_message"
    submit_id: str = "id"
    submit_status: str = "status"
    lookup: str = ""
    """The task, or the list of tasks, in a look-up's answer."""
    reference: str | None = None
    """The client reference in one of these tasks."""


class AnswerReader:
    """Reads answers of one shape; ``words`` translates the statuses in them."""

    def __init__(self, shape: Shape, words: StatusWords) -> None:
        self._words = words
        self._items = parse_place(shape.items)
        self._lookup = parse_place(shape.lookup)
        self._reference = None if shape.reference is None else parse_place(shape.reference)
        self._submit_id, self._submit_status = parse_place(shape.submit_id), parse_place(shape.submit_status)
        self._id, self._status, self._message = map(parse_place, (shape.id, shape.status, shape.message))
        self._element = _element_decoder(self._id, self._status, self._message)
        self._elements = _list_decoder(self._element)

    async def sightings(self, body: bytes) -> Sightings:
        """The tasks of a list; an element that cannot be read is counted and spoils no other.

        The loop is given back between slices: a list of 100,000 takes a tenth of a second and more.

        Raises:
            PollFailedError: the body is not whole JSON, or no list stands where the tasks should.
        """
        pieces = self._pieces_of(body)
        found: list[Sighting] = []
        for start in range(0, len(pieces), SLICE):
            found.extend(self._readable(pieces[start : start + SLICE]))
            await asyncio.sleep(0)
        return Sightings(found, bad=len(pieces) - len(found))

    def sighting(self, body: bytes) -> Sightings:
        """The one task that an answer is about.

        Raises:
            PollFailedError: the body is not whole JSON.
        """
        _decoded(body, "JSON")
        found = list(self._readable([body]))
        return Sightings(found, bad=1 - len(found))

    def receipt(self, body: bytes) -> Receipt:
        """What the answer to a submission says; nothing where it is empty or does not say.

        Raises:
            PollFailedError: the body is not JSON.
        """
        if not body.strip():
            return Receipt(None, None)
        return self._receipt_of(_decoded(body, "JSON"))

    def looked_up(self, body: bytes, reference: str) -> Receipt | None:
        """The task with that reference in the answer to a look-up; None where the answer is null or an empty list.

        Raises:
            PollFailedError: the body is not JSON, the place is missing, or it cannot be told which task is meant.
        """
        value = find(_decoded(body, "JSON"), self._lookup)
        if value is MISSING or not isinstance(value, list | dict | None):
            raise _unreadable(body, "a task or a list of tasks")
        tasks = [] if value is None else value if isinstance(value, list) else [value]
        if self._reference is not None:
            tasks = [each for each in tasks if find(each, self._reference) == reference]
        if len(tasks) > 1:
            msg = f"the look-up of one reference brought {len(tasks)} tasks"
            raise PollFailedError(msg)
        return self._receipt_of(tasks[0]) if tasks else None

    def _pieces_of(self, body: bytes) -> list[msgspec.Raw]:
        try:
            return _pieces.decode(self._list_in(body))
        except UNREADABLE as error:
            mended = _ESCAPE.sub(_mend, body.decode("utf-8", "replace").encode())
            if mended == body:
                raise _unreadable(body, "a JSON array") from error
        return self._pieces_of(mended)

    def _list_in(self, body: bytes) -> bytes | msgspec.Raw:
        if not self._items:
            return body
        value = find(_anything.decode(body), self._items)
        return b"" if value is MISSING else msgspec.json.encode(value)

    def _receipt_of(self, value: Any) -> Receipt:
        status = _as_word(find(value, self._submit_status))
        key = _as_word(find(value, self._submit_id))
        return Receipt(_fit_key(key), self._words.translate(status) if status else None)

    def _readable(self, pieces: Sequence[msgspec.Raw | bytes]) -> Iterator[Sighting]:
        translate = self._words.translate
        for element in self._decoded(pieces):
            key, status, message = _fit_key(str(element.key)), str(element.status), element.message
            if key and status:
                yield Sighting(key, translate(status), None if message is None else as_message(message))

    def _decoded(self, pieces: Sequence[msgspec.Raw | bytes]) -> Iterable[Any]:
        """The elements that can be read: all at once, or where one of them cannot, one by one."""
        if self._element is not _anything:
            with suppress(*UNREADABLE):
                return self._elements.decode(b"[" + b",".join(pieces) + b"]")
        return self._decoded_singly(pieces)

    def _decoded_singly(self, pieces: Sequence[msgspec.Raw | bytes]) -> Iterator[Any]:
        for piece in pieces:
            with suppress(*UNREADABLE):
                element = self._element.decode(piece)
                yield self._picked(element) if self._element is _anything else element

    def _picked(self, value: Any) -> "_Element":
        """The fields of an element whose places have several steps."""
        key, status, message = (find(value, steps) for steps in (self._id, self._status, self._message))
        return _Element(_as_word(key) or "", _as_word(status) or "", None if message is MISSING else message)


class _Element(NamedTuple):
    """What is wanted of an element."""

    key: str | int
    status: str | int
    message: Any


def _element_decoder(*places: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """The quick way, which makes nothing but the three fields, where each of them is a plain name; else the general."""
    names = [place[0] for place in places if len(place) == 1]
    if len(set(names)) != len(_Element._fields):
        return _anything
    types = {"key": str | int, "status": str | int, "message": Any}
    defaults = {"message": None}
    fields: list[Any] = [
        (field, types[field], msgspec.field(default=defaults.get(field, msgspec.NODEFAULT), name=name))
        for field, name in zip(_Element._fields, names, strict=True)
    ]
    return msgspec.json.Decoder(msgspec.defstruct("Element", fields))


def _list_decoder(element: msgspec.json.Decoder[Any]) -> msgspec.json.Decoder[list[Any]]:
    return msgspec.json.Decoder(list[element.type])  # type: ignore[name-defined]  # it is made at run time


def _as_word(value: Any) -> str | None:
    """An id or a status, which is text or a whole number; None for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def _fit_key(key: str | None) -> str | None:
    return key if key and len(key) <= _LONGEST_KEY else None


def _mend(escape: re.Match[bytes]) -> bytes:
    """Half a character, which msgspec takes for the end of all JSON, becomes the sign for an unknown one."""
    return rb"\ufffd" if escape[1] else escape[0]


def _decoded(body: bytes, wanted: str) -> Any:
    try:
        return _anything.decode(body)
    except UNREADABLE as error:
        raise _unreadable(body, wanted) from error


def _unreadable(body: bytes, wanted: str) -> PollFailedError:
    begin = clean(body[: 4 * _EXCERPT].decode("utf-8", "replace"), longest=_EXCERPT)
    return PollFailedError(f"the answer is not {wanted}; it has {len(body)} bytes" + (f": {begin}" if begin else ""))
