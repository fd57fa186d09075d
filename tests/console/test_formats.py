from datetime import UTC, datetime, timedelta, timezone

import pytest

from signalbox.console import formats

NOW = datetime(2026, 1, 31, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (0, "0"),
        (950, "950"),
        (12_345, "12,345"),
        (1.25, "1.2"),
        (1_234_567, "1.2 M"),
        (2e9, "2.0 G"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert formats.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "\N{EN DASH}"), (0, "0"), (0.051, "0.05"), (3.24, "3.2"), (1_250.4, "1,250")]
)
def test_rates(value: float | None, text: str) -> None:
    assert formats.rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.0, "0 %"),
        (0.0001, "< 0.1 %"),
        (0.004, "0.4 %"),
        (0.9, "90.0 %"),
        (0.99999, "> 99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_shares_are_never_rounded_to_nothing_or_all(value: float | None, text: str) -> None:
    assert formats.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.0004, "0.4 ms"),
        (0.025, "25 ms"),
        (1.44, "1.4 s"),
        (100, "100 s"),
        (180, "3 min"),
        (7_200, "2 h"),
        (5 * 86_400, "5 d"),
    ],
)
def test_spans(value: float | None, text: str) -> None:
    assert formats.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "\N{EN DASH}"), (512, "512 B"), (1_400, "1.4 KB"), (20e6, "20.0 MB"), (3e9, "3.0 GB")]
)
def test_sizes(value: float | None, text: str) -> None:
    assert formats.size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "just now"), (20, "20 s ago"), (300, "5 min ago"), (7_300, "2 h ago"), (-90, "in 1 min")],
)
def test_how_long_ago(seconds: float, text: str) -> None:
    assert formats.ago(NOW - timedelta(seconds=seconds), NOW) == text


def test_a_moment_has_its_zone_and_its_relative_form() -> None:
    there = datetime(2026, 1, 31, 11, 59, 0, 250_000, tzinfo=timezone(timedelta(hours=2)))
    assert formats.moment(there, NOW) == (
        '<time datetime="2026-01-31T09:59:00.250Z" title="2026-01-31 09:59:00 UTC">59 s ago</time>'
    )
    assert formats.moment(None, NOW) == "\N{EN DASH}"


def test_json_is_written_for_people() -> None:
    assert formats.pretty({"a": NOW, "b": "ä"}) == '{\n  "a": "2026-01-31 10:00:00+00:00",\n  "b": "ä"\n}'


def test_some_values_of_a_row() -> None:
    assert formats.pick(("a", "b", "c"), 2, 0) == ("c", "a")
