import pytest

from signalbox.conversations.errors import InvalidQueryError
from signalbox.conversations.filters import NAMES, Filter, fold, parse_query, to_filter, to_flag, to_number


def parsed(query: str) -> Filter:
    return to_filter(parse_query(query.encode(), NAMES))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tags=a,b", "tags=b,a,a"),
        ("tags=A,,%20b", "tags=b&tags=a"),
        ("tags=a&match=all", "tags=a&match=any"),
        ("company=Micro", "company=%20MICRO"),
        ("q=b+A", "q=a,b"),
        ("", "company=&tags=&q=%20&type=&since="),
        ("speaker=x", "speaker=X&monologues=include"),
        ("since=2024-01-01", "since=2024-01-01T00:00:00Z"),
    ],
)
def test_the_same_search_has_one_form(one: str, other: str) -> None:
    assert parsed(one) == parsed(other)


def test_a_tag_may_have_a_comma_in_its_name() -> None:
    assert parsed("tags=Mergers%252C%20sales,b").tags == ("b", "mergers, sales")
    assert parsed("tags=Mergers%252csales").tags == ("mergers,sales",)
    assert parsed("tags=a%2Cb") == parsed("tags=a,b"), "as clients encode lists"
    assert (parsed("tags=a%252Cb&match=all").all_tags, parsed("tags=a%2Cb&match=all").all_tags) == (False, True)


def test_different_searches_differ() -> None:
    assert parsed("tags=a,b&match=all") != parsed("tags=a,b")
    assert parsed("q=%27").words == ()
    assert parsed("").words is None


@pytest.mark.parametrize("query", ["a=1", "company=a&company=b", "x" * 5_000, "type=Poem", "until=never"])
def test_wrong_queries_are_refused(query: str) -> None:
    with pytest.raises(InvalidQueryError):
        parsed(query)


def test_numbers_and_flags_have_bounds() -> None:
    assert (to_number({"n": "-5"}, "n", least=-5, most=5), to_number({}, "n", least=0, most=1)) == (-5, None)
    assert (to_flag({"f": "1"}, "f"), to_flag({"f": "false"}, "f"), fold(" \u00c9A ")) == (True, False, "\u00e9a")
    assert to_number({"n": ""}, "n", least=1, most=5) is None, "as forms send what nobody filled in"
    for text in ("6", "1.0", " ", "\u0663", "9" * 30):
        with pytest.raises(InvalidQueryError):
            to_number({"n": text}, "n", least=-5, most=5)
