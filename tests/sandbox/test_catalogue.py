from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.sandbox.catalogue import DEEPEST, Catalogue

numbers = st.integers(min_value=1, max_value=10**12 - 1)


@given(numbers, st.integers())
def test_an_answer_follows_from_id_and_seed(number: int, seed: int) -> None:
    assert Catalogue(seed).item(f"MLA{number}") == Catalogue(seed).item(f"MLA{number}")
    assert Catalogue(seed).category(f"MLA{number}") == Catalogue(seed).category(f"MLA{number}")
    assert Catalogue(seed).user(str(number)) == Catalogue(seed).user(str(number))


def test_seeds_differ() -> None:
    assert Catalogue(1).item("MLA1") != Catalogue(2).item("MLA1")


@given(numbers)
def test_the_tree_is_whole(number: int) -> None:
    category = cast("dict[str, Any]", Catalogue().category(f"MLA{number}"))
    path = [link["id"] for link in category["path_from_root"]]
    assert path == [f"MLA{str(number)[:end]}" for end in range(1, len(str(number)) + 1)]
    assert bool(category["children_categories"]) == (len(str(number)) < DEEPEST)
    for child in category["children_categories"]:
        grandchild = cast("dict[str, Any]", Catalogue().category(child["id"]))
        assert grandchild["path_from_root"][-2]["id"] == f"MLA{number}"
        assert grandchild["name"] == child["name"]


@pytest.mark.parametrize(
    "identity", ["", "MLA", "MLA0", "MLA01", "mla1", "MLA1x", "MLA1\n", "MLA1234567890123", "../x"]
)
def test_what_the_shop_does_not_have(identity: str) -> None:
    assert Catalogue().category(identity) is None
    assert Catalogue().item(identity) is None
    assert Catalogue().user(identity) is None


def test_search_finds_items_of_the_shop() -> None:
    found = cast("dict[str, Any]", Catalogue().search("lamp", limit=3))
    assert [Catalogue().item(item["id"]) for item in found["results"]] == found["results"]
    assert found["paging"]["limit"] == len(found["results"]) == 3
