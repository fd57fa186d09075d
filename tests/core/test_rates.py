import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from signalbox.core.errors import InvalidError
from signalbox.core.rates import GRAMMAR, Rate, RateSetting, parse_rate
from signalbox.core.times import DAY, HOUR, MICROSECONDS, MINUTE

rates = st.builds(
    lambda limit, seconds: Rate(limit, seconds * MICROSECONDS), st.integers(1, 999_999_999), st.integers(1, 999_999_999)
)


class Limited(BaseModel):
    rate: RateSetting


@pytest.mark.parametrize(
    ("text", "limit", "window"),
    [
        ("1000/1m", 1_000, MINUTE),
        ("50/s", 50, MICROSECONDS),
        ("50/1s", 50, MICROSECONDS),
        ("50/30s", 50, 30 * MICROSECONDS),
        ("7/h", 7, HOUR),
        (" 1000/2d ", 1_000, 2 * DAY),
        ("010/090s", 10, 90 * MICROSECONDS),
    ],
)
def test_rates(text: str, limit: int, window: int) -> None:
    rate = parse_rate(text)
    assert (rate.limit, rate.window) == (limit, window)


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "5", "5/", "/s", "0/s", "5/0s", "5/00m", "-5/s", "5/-1s", "1.5/s", "5/1.5s", "5/w", "5 / s", "5/S"),
        *("5/1m30s", "5/s/s", "\N{ARABIC-INDIC DIGIT FIVE}/s", "5/s\x00", "9999999999/s", "5/" + "9" * 5_000 + "s"),
    ],
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match=re.escape(f"{text!r} is not a rate; write how often")):
        parse_rate(text)


def test_a_window_beyond_all_calendars_is_refused() -> None:
    with pytest.raises(InvalidError, match="at most 1000000d"):
        parse_rate("5/1000001d")


@pytest.mark.parametrize(("limit", "window"), [(0, MINUTE), (-1, MINUTE), (1, 0), (1, -MINUTE), (1, 1_500_000)])
def test_what_no_text_could_say_cannot_be_made(limit: int, window: int) -> None:
    with pytest.raises(InvalidError, match="rate"):
        Rate(limit, window)


@pytest.mark.parametrize(
    ("text", "shortest"),
    [("5/60s", "5/1m"), ("5/s", "5/1s"), ("5/90s", "5/90s"), ("5/24h", "5/1d"), ("5/36h", "5/36h")],
)
def test_the_text_names_the_longest_unit_that_fits(text: str, shortest: str) -> None:
    assert str(parse_rate(text)) == f"{parse_rate(text)}" == shortest


@given(rates)
def test_text_and_rate_are_one(rate: Rate) -> None:
    assert parse_rate(str(rate)) == rate
    assert re.search(GRAMMAR, str(rate)) is not None


def test_equal_rates_are_one_key() -> None:
    assert {parse_rate("60/1m"): 1}[Rate(60, MINUTE)] == 1


def test_a_rate_does_not_change() -> None:
    with pytest.raises(AttributeError):
        parse_rate("5/s").limit = 6  # type: ignore[misc]


def test_a_field_of_settings() -> None:
    made = Limited.model_validate({"rate": "1000/60s"})
    assert made.rate == Limited(rate=Rate(1_000, MINUTE)).rate
    assert made.model_dump() == made.model_dump(mode="json") == {"rate": "1000/1m"}
    assert Limited.model_json_schema()["properties"]["rate"]["pattern"] == GRAMMAR


@pytest.mark.parametrize(
    ("value", "said"), [("5/week", "'5/week' is not a rate"), (5, "is written as text"), (None, "is written as text")]
)
def test_a_wrong_field_is_named(value: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        Limited.model_validate({"rate": value})
    assert caught.value.errors()[0]["loc"] == ("rate",)
