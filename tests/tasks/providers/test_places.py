from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.errors import InvalidError
from signalbox.tasks.providers.places import MISSING, find, parse_place

ANSWER: dict[str, Any] = {"id": 1, "data": {"jobs": [{"id": None}, {"id": "b"}]}, "a.b": {"c/d": 2, "~": 3}, "7": 4}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("", ANSWER),
        ("id", 1),
        ("data.jobs.0.id", None),
        ("data.jobs.1.id", "b"),
        ("/data/jobs/1/id", "b"),
        ("/a.b/c~1d", 2),
        ("/a.b/~0", 3),
        ("7", 4),
        ("data.jobs.2", MISSING),
        ("data.jobs.-1", MISSING),
        ("data.jobs.²", MISSING),
        ("id.id", MISSING),
        ("a.b", MISSING),
    ],
)
def test_a_place_is_found(place: str, value: object) -> None:
    assert find(ANSWER, parse_place(place)) == value


@pytest.mark.parametrize("place", [".", "a..b", "a.", "/", "/a//b", ".".join("a" * 17)])
def test_what_is_no_place_is_refused(place: str) -> None:
    with pytest.raises(InvalidError, match="is no place in an answer"):
        parse_place(place)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_a_pointer_names_any_path(steps: list[str]) -> None:
    value: Any = "here"
    for step in reversed(steps):
        value = {step: value}
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
    assert find(value, parse_place(pointer)) == "here"
