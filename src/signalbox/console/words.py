"""Where the words of a search stand in a text."""

import re
from collections.abc import Sequence


def split_at(text: str | None, words: Sequence[str]) -> list[tuple[str, bool]]:
    """A text in pieces, and whether each is one of the words, in any case; all pieces together are the text."""
    if not text:
        return []
    if not words:
        return [(text, False)]
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    pieces = re.split(rf"(?i)(?<![^\W_])({pattern})(?![^\W_])", text)
    return [(piece, place % 2 == 1) for place, piece in enumerate(pieces) if piece]
