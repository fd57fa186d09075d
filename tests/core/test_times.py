from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.errors import InvalidError
from signalbox.core.times import DAY, HOUR, MICROSECONDS, MINUTE, parse_span, to_datetime, to_micros, to_rfc3339

FIRST = to_micros(datetime.min.replace(tzinfo=UTC))
LAST = to_micros(datetime.max.replace(tzinfo=UTC))
INSTANTS = st.integers(FIRST, LAST)
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


class Undecided(tzinfo):
    """A zone that does not know its offset; Python counts such a time as naive."""

    def utcoffset(self, moment: datetime | None, /) -> None:
        return None

    dst = tzname = utcoffset


@given(INSTANTS)
def test_an_instant_survives_both_ways(micros: int) -> None:
    assert to_micros(to_datetime(micros)) == micros
    assert to_micros(datetime.fromisoformat(to_rfc3339(micros))) == micros


@given(st.datetimes(timezones=ZONES))
def test_the_zone_changes_the_spelling_only(moment: datetime) -> None:
    assert to_datetime(to_micros(moment)) == moment


@given(INSTANTS, INSTANTS)
def test_the_text_sorts_as_the_instants_do(one: int, other: int) -> None:
    assert (to_rfc3339(one) < to_rfc3339(other)) == (one < other)


def test_four_spellings_of_one_instant_are_one_integer() -> None:
    spellings = [
        "2026-01-31T10:00:00Z",
        "2026-01-31T10:00:00.000000+00:00",
        "2026-01-31T15:30:00+05:30",
        "2026-01-31T02:00:00-08:00",
    ]
    assert {to_micros(datetime.fromisoformat(text)) for text in spellings} == {1_769_853_600_000_000}


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (-DAY, "1969-12-31T00:00:00.000000Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (1_769_853_600_000_000, "2026-01-31T10:00:00.000000Z"),
    ],
)
def test_text_on_the_wire(micros: int, text: str) -> None:
    assert to_rfc3339(micros) == text
    assert to_micros(datetime.fromisoformat(text)) == micros


@pytest.mark.parametrize("zone", [None, Undecided()])
def test_a_time_without_zone_is_refused(zone: tzinfo | None) -> None:
    with pytest.raises(InvalidError, match="has no zone"):
        to_micros(datetime(2026, 1, 31, 10, tzinfo=zone))


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1s", MICROSECONDS),
        ("30s", 30 * MICROSECONDS),
        ("15m", 15 * MINUTE),
        ("12h", 12 * HOUR),
        ("90d", 90 * DAY),
        (" 7d ", 7 * DAY),
        ("1000000d", 1_000_000 * DAY),
    ],
)
def test_spans(text: str, micros: int) -> None:
    assert parse_span(text) == micros


@pytest.mark.parametrize(
    "text",
    ["", "d", "0d", "000s", "-1d", "+1d", "1.5h", "1w", "1 d", "1d2h", "90", "3D", "٣d", "3d\x00", "9" * 5000 + "d"],
)
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="is not a span of time"):
        parse_span(text)


@pytest.mark.parametrize("text", ["1000001d", "999999999d", "24000001h"])
def test_a_span_beyond_all_calendars_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="at most 1000000d"):
        parse_span(text)
