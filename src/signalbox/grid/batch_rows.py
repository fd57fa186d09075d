"""Splitting a batch that comes in pieces into its rows: elements of a JSON array, or lines of NDJSON."""

import re
from typing import Final

from signalbox.core.errors import InvalidError

LONGEST_ROW: Final = 16 * 1024
"""Bytes; a reading has some hundred."""

_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\],]', re.DOTALL)
"""Whole strings, and what else may begin or end something; a lone quotation mark is a string that is not whole yet.

Nothing is tried twice (``*+``): else a long string without an end would take for ever.
"""


class RowSplitter:
    """Takes a body piece by piece and gives its rows as soon as they are whole.

    Whether a row is a reading, or JSON at all, is not looked at: a wrong row spoils no other.
    """

    def __init__(self) -> None:
        self._waiting = b""
        self._is_array: bool | None = None
        self._scanned = self._depth = self._rows = 0
        self._ended = False

    def feed(self, data: bytes) -> list[bytes]:
        """The rows that are whole with this piece; empty lines are none.

        Raises:
            InvalidError: the body is no array of JSON, or a row is longer than 16 KiB.
        """
        self._waiting += data
        if self._is_array is None and not self._begin():
            return []
        rows = self._take_elements() if self._is_array else self._take_lines()
        if len(self._waiting) > LONGEST_ROW:
            msg = f"a row is longer than {LONGEST_ROW} bytes"
            raise InvalidError(msg)
        self._rows += len(rows)
        return rows

    def close(self) -> list[bytes]:
        """The body is over: its last line, if it did not end with a line feed.

        Raises:
            InvalidError: the array is cut off.
        """
        if self._is_array and not self._ended:
            msg = "the body is cut off: its array does not end"
            raise InvalidError(msg)
        return [self._waiting] if self._waiting.strip() else []

    def _begin(self) -> bool:
        self._waiting = self._waiting.lstrip()
        if not self._waiting:
            return False
        self._is_array = self._waiting.startswith(b"[")
        if self._is_array:
            self._waiting = self._waiting[1:]
        return True

    def _take_lines(self) -> list[bytes]:
        *lines, self._waiting = self._waiting.split(b"\n")
        return [line for line in lines if line.strip()]

    def _take_elements(self) -> list[bytes]:
        rows: list[bytes] = []
        begin = 0
        for match in _TOKEN.finditer(self._waiting, 0 if self._ended else self._scanned):
            token = match[0]
            if token == b'"':
                self._scanned = match.start()
                break
            self._scanned = match.end()
            if token in {b"{", b"["}:
                self._depth += 1
            elif self._depth and token in {b"}", b"]"}:
                self._depth -= 1
            elif not self._depth and len(token) == 1:
                self._end_element(token, self._waiting[begin : match.start()].strip(), rows)
                begin = match.end()
                if self._ended:
                    break
        self._waiting, self._scanned = self._waiting[begin:], self._scanned - begin
        if self._ended and self._waiting.strip():
            raise _not_an_array()
        return rows

    def _end_element(self, token: bytes, element: bytes, rows: list[bytes]) -> None:
        self._ended = token == b"]"
        is_empty_array = self._ended and not rows and not self._rows
        if token == b"}" or (not element and not is_empty_array):
            raise _not_an_array()
        if element:
            rows.append(element)


def _not_an_array() -> InvalidError:
    return InvalidError("the body is neither a JSON array nor JSON objects, one a line")
