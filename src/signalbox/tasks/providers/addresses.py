"""Addresses in settings, of which only the part behind the host holds words: ``https://api.example.com/jobs/{id}``."""

import re
from collections.abc import Collection
from typing import Final, NamedTuple

from signalbox.core.errors import InvalidError
from signalbox.infra.http import Origin, parse_origin
from signalbox.tasks.providers.templates import Template, Words

_ADDRESS: Final = re.compile(r"(https?://[^/?#{}]+)(/[^?#]*)?(\?[^#]*)?", re.IGNORECASE)
_NOT_SENT: Final = re.compile(r"[^!-~]")


class Address(NamedTuple):
    """Where calls go: a fixed origin, a path and query that are filled in."""

    origin: Origin
    path: Template
    query: Template

    @property
    def host(self) -> str:
        """The host and its port, ``api.example.com:443``, as budgets take it."""
        name = self.origin.host
        return f"[{name}]:{self.origin.port}" if ":" in name else f"{name}:{self.origin.port}"

    @property
    def words(self) -> frozenset[str]:
        """The words in it, with their parts."""
        return self.path.words | self.query.words

    def target(self, words: Words) -> bytes:
        """What is sent as the target of a request.

        Raises:
            TemplateError: a word's part is missing, or a value would lead to another path.
        """
        return self.path.url(words) + self.query.url(words)


def parse_address(text: str, names: Collection[str], *, hidden: Collection[str] = ()) -> Address:
    """The address that a text names; ``hidden`` words may stand in its query alone, since paths are written to logs.

    Raises:
        InvalidError: it is not an ``http`` or ``https`` address, or a word is unknown or not where it may be.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or _NOT_SENT.search(text):
        msg = "an address starts with http:// or https:// and a host without words, and is ASCII without spaces or #"
        raise InvalidError(msg)
    origin, _ = parse_origin(match[1])
    path = Template(match[2] or "/", names)
    shown = sorted(word for word in path.words if word.partition(".")[0] in hidden)
    if shown:
        msg = f"{{{shown[0]}}} may stand in the query or in a header only: paths are written to the call log"
        raise InvalidError(msg)
    return Address(origin, path, Template(match[3] or "", names))
