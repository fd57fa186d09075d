"""How deep a JSON document is nested: what goes too deep can be kept, and then no list that holds it can be encoded."""

from collections.abc import Mapping
from typing import Any, Final

DEEPEST: Final = 100
"""Levels of arrays and objects that are taken; encoders of JSON give up somewhere beyond 200."""

_CONTAINERS = (dict, list)


def is_too_deep(document: Mapping[str, Any], *, levels: int = DEEPEST) -> bool:
    """Whether an object of decoded JSON has more than ``levels`` levels, itself counted; no recursion."""
    level: list[Any] = [document]
    for _ in range(levels):
        below = [
            member
            for each in level
            for member in (each.values() if isinstance(each, Mapping) else each)
            if isinstance(member, _CONTAINERS)
        ]
        if not below:
            return False
        level = below
    return True
