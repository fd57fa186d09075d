from typing import Any

import pytest

from signalbox.core.nesting import DEEPEST, is_too_deep


def nested(levels: int, inside: Any = 1) -> Any:
    for number in range(levels):
        inside = [inside] if number % 2 else {"a": inside}
    return inside


@pytest.mark.parametrize("document", [{}, {"a": 1}, {"a": [], "b": {}}, {"a": "[" * 1_000}])
def test_what_is_flat_is_not_too_deep(document: dict[str, Any]) -> None:
    assert not is_too_deep(document, levels=2)


def test_a_level_too_many_is_too_deep_wherever_it_is() -> None:
    assert not is_too_deep({"a": nested(DEEPEST - 1)})
    assert is_too_deep({"a": nested(DEEPEST)})
    assert is_too_deep({"first": 1, "then": [1, nested(DEEPEST - 1)]})


def test_a_document_deeper_than_python_recurses_is_told_all_the_same() -> None:
    assert is_too_deep({"a": nested(50_000)})
