import base64
import json
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signalbox.core.pagination import InvalidCursorError, decode_cursor, encode_cursor, next_link, to_page

ROW_IDS = st.integers(0, 2**63 - 1)
PAIRS = st.lists(st.tuples(st.text(min_size=1).filter(lambda name: name != "cursor"), st.text()))


def opaque(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def address_of(link: str) -> str:
    assert link.startswith("<")
    assert link.endswith('>; rel="next"')
    return link[1 : -len('>; rel="next"')]


@given(ROW_IDS)
def test_a_cursor_comes_back(position: int) -> None:
    assert decode_cursor(encode_cursor(position)) == position


@given(ROW_IDS)
def test_a_cursor_needs_no_escaping_in_a_query(position: int) -> None:
    cursor = encode_cursor(position)
    assert urlencode({"c": cursor}) == f"c={cursor}"


@given(st.text())
@example("[" * 2_000)
def test_garbage_is_refused_or_a_position(text: str) -> None:
    for cursor in (text, opaque(text) if text.isascii() else text):
        try:
            assert 0 <= decode_cursor(cursor) < 2**63
        except InvalidCursorError as error:
            assert "take it unchanged" in str(error)


@pytest.mark.parametrize(
    "value",
    [-1, 2**63, 10**400, 1.0, True, None, "1", [1], {}, float("nan")],
)
def test_a_position_that_no_row_has_is_refused(value: object) -> None:
    with pytest.raises(InvalidCursorError):
        decode_cursor(opaque(json.dumps([value])))


@pytest.mark.parametrize("text", ["", "1", "[]", "[1, 2]", "{}", '{"1": 2}', "null", "[1", "[" * 2_000])
def test_what_is_no_list_of_one_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursorError):
        decode_cursor(opaque(text))


@pytest.mark.parametrize("cursor", ["", "ä", "WzFd!", "W zFd", "\n", "%57zFd", "W", "\x00"])
def test_what_is_no_base64_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        decode_cursor(cursor)


@given(st.lists(ROW_IDS, max_size=10), st.integers(1, 10))
def test_a_page_holds_what_fits_and_points_behind_its_last_row(rows: list[int], limit: int) -> None:
    page = to_page(rows, limit, lambda row: row)
    assert page.items == rows[:limit]
    if len(rows) > limit:
        assert page.next_cursor is not None
        assert decode_cursor(page.next_cursor) == rows[limit - 1]
    else:
        assert page.next_cursor is None


@given(PAIRS, ROW_IDS, st.booleans())
def test_the_next_link_keeps_every_filter_in_order(pairs: list[tuple[str, str]], row: int, later: bool) -> None:
    old, new = encode_cursor(row), encode_cursor(row // 2)
    query = urlencode([("cursor", old), *pairs] if later else [*pairs, ("cursor", old)])
    parts = urlsplit(address_of(next_link("/api/calls", query, new)))
    assert parts.path == "/api/calls"
    assert parse_qsl(parts.query, keep_blank_values=True) == [*pairs, ("cursor", new)]


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("", ""),
        ("cursor=a", ""),
        ("%63ursor=a&cursor=b", ""),
        ("route=a&route=b&cursor=c&route=a", "route=a&route=b&route=a&"),
        ("empty=&limit=5", "empty=&limit=5&"),
        ("path=%FF%2F&q=a+b%20c", "path=%FF%2F&q=a+b%20c&"),
    ],
)
def test_the_next_link_leaves_the_spelling_of_filters_alone(query: str, kept: str) -> None:
    assert next_link("/b/api/calls", query, "WzFd") == f'</b/api/calls?{kept}cursor=WzFd>; rel="next"'
