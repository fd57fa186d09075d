"""From a provider's words for the state of a task to ours."""

import re
from collections.abc import Mapping
from typing import Final

from signalbox.tasks.providers.messages import clean
from signalbox.tasks.schemas import STATUSES, Status

_LONGEST: Final = 100
_BETWEEN: Final = re.compile(r"[\s_-]+")
_OURS: Final = {word.casefold(): word for word in STATUSES}


class StatusWords:
    """Translates: first by the settings' own table, then by likeness to our words (``in_progress``, ``COMPLETED``)."""

    def __init__(self, table: Mapping[str, Status]) -> None:
        self._table: dict[str, str] = {word: word for word in STATUSES}
        self._table.update(table)

    def translate(self, word: str) -> str:
        """Our word; else the provider's, without control characters and of at most 100 characters."""
        known = self._table.get(word)
        if known is not None:
            return known
        return _OURS.get(_BETWEEN.sub(" ", word.strip()).casefold()) or clean(word, longest=_LONGEST)
