import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.retry_after import LONGEST, find_retry_after, parse_retry_after

NOW = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z, a Thursday


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30),
        ("Thursday, 01-Jan-26 00:00:30 GMT", 30),
        ("Thu Jan  1 00:00:30 2026", 30),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0),
        ("Fri, 01 Jan 2027 00:00:00 GMT", LONGEST),
        ("9" * 400, LONGEST),
    ],
)
def test_seconds_and_all_three_forms_of_a_date_are_read(text: str, seconds: float) -> None:
    assert parse_retry_after(text, now=NOW) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "²", "Thu, 99 Jan 2026 00:00:30 GMT", "1e3"])
def test_nonsense_says_nothing(text: str) -> None:
    assert parse_retry_after(text, now=NOW) is None


@given(st.text())
def test_any_text_is_within_bounds_or_nothing(text: str) -> None:
    seconds = parse_retry_after(text, now=NOW)
    assert seconds is None or 0 <= seconds <= LONGEST


def test_the_header_is_found_among_others() -> None:
    assert find_retry_after([(b"date", b"x"), (b"retry-after", b"3")], now=NOW) == 3
    assert find_retry_after([(b"date", b"x")], now=NOW) is None
