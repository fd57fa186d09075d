from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.errors import InvalidError
from signalbox.core.times import to_datetime, to_micros
from signalbox.infra.jobs import parse_cron


def following(expression: str, *moment: int) -> str:
    found = parse_cron(expression).after(to_micros(datetime(*moment, tzinfo=UTC)))  # type: ignore[arg-type,misc]
    return to_datetime(found).strftime("%Y-%m-%d %H:%M:%S.%f")[:16]


@pytest.mark.parametrize(
    ("expression", "moment", "expected"),
    [
        ("* * * * *", (2026, 1, 1, 0, 0), "2026-01-01 00:01"),
        ("* * * * *", (2026, 1, 1, 0, 0, 59, 999_999), "2026-01-01 00:01"),
        ("*/15 * * * *", (2026, 1, 1, 0, 44), "2026-01-01 00:45"),
        ("*/15 * * * *", (2026, 1, 1, 0, 45), "2026-01-01 01:00"),
        ("5/20 * * * *", (2026, 1, 1, 0, 30), "2026-01-01 00:45"),
        ("10-30/10,50 * * * *", (2026, 1, 1, 0, 30), "2026-01-01 00:50"),
        ("30 6 * * *", (2026, 1, 1, 6, 30), "2026-01-02 06:30"),
        ("30 6 * * mon-fri", (2026, 1, 2, 7, 0), "2026-01-05 06:30"),
        ("0 0 * * 7", (2026, 1, 1), "2026-01-04 00:00"),
        ("0 0 * * SUN", (2026, 1, 1), "2026-01-04 00:00"),
        ("0 0 1 * *", (2026, 1, 1), "2026-02-01 00:00"),
        ("0 0 31 * *", (2026, 1, 31), "2026-03-31 00:00"),
        ("0 0 29 feb *", (2026, 1, 1), "2028-02-29 00:00"),
        ("0 0 29 2 *", (2096, 3, 1), "2104-02-29 00:00"),
        ("59 23 31 12 *", (2026, 12, 31, 23, 59), "2027-12-31 23:59"),
        ("0 0 13 * fri", (2026, 1, 1), "2026-01-02 00:00"),
        ("0 0 13 * */1", (2026, 1, 1), "2026-01-13 00:00"),
        ("0 12 * jan,jul *", (2026, 1, 31, 12, 0), "2026-07-01 12:00"),
    ],
)
def test_the_following_minute(expression: str, moment: tuple[int, ...], expected: str) -> None:
    assert following(expression, *moment) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "30-10 * * * *",
        "-5 * * * *",
        "1- * * * *",
        "x * * * *",
        "jan * * * *",
        "* * * foo *",
        "1,,2 * * * *",
        "*-5 * * * *",
        "1.5 * * * *",
        "٣ * * * *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "@daily",
    ],
)
def test_what_is_no_expression(expression: str) -> None:
    with pytest.raises(InvalidError):
        parse_cron(expression)


numbers = st.tuples(st.integers(0, 59), st.integers(0, 23), st.integers(1, 28), st.integers(1, 12), st.integers(0, 7))


@st.composite
def expressions(draw: st.DrawFn) -> str:
    low, high = (draw(numbers) for _ in range(2))
    words = []
    for first, last in zip(low, high, strict=True):
        span = f"{min(first, last)}-{max(first, last)}"
        words.append(draw(st.sampled_from(["*", str(first), span, f"{first},{last}", f"{span}/3", "*/7"])))
    return " ".join(words)


def plain(word: str, value: int, low: int, high: int) -> bool:
    """Whether a field names a value, in the plainest way to say so."""
    for part in word.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        if int(first) <= value <= int(last or first) and (value - int(first)) % int(step or 1) == 0:
            return True
    return False


def is_meant(expression: str, moment: datetime) -> bool:
    minute, hour, day, month, weekday = expression.split()
    in_month = plain(day, moment.day, 1, 31)
    in_week = any(plain(weekday, number, 0, 7) for number in {moment.isoweekday() % 7, moment.isoweekday()})
    starred = day.startswith("*") or weekday.startswith("*")
    days = in_month and in_week if starred else in_month or in_week
    rest = plain(minute, moment.minute, 0, 59) and plain(hour, moment.hour, 0, 23) and plain(month, moment.month, 1, 12)
    return days and rest


@given(expression=expressions(), start=st.integers(0, 4 * 365 * 24 * 60))
def test_it_is_the_first_that_the_fields_name(expression: str, start: int) -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=start)
    found = to_datetime(parse_cron(expression).after(to_micros(moment)))
    assert found > moment
    assert is_meant(expression, found)
    passed = int((found - moment) / timedelta(minutes=1))
    near = {*range(1, min(passed, 1_500)), *range(max(1, passed - 1_500), passed)}
    days = range(1_440, passed, 1_440)
    assert not any(is_meant(expression, moment + timedelta(minutes=number)) for number in near)
    assert not any(is_meant(expression, found - timedelta(minutes=number)) for number in days)
