from collections.abc import Sequence
from datetime import timedelta

import pytest

from signalbox.console import periods
from signalbox.core.times import to_datetime
from signalbox.gateway.heatmap import BOUNDS
from signalbox.gateway.period import Column, Period
from signalbox.gateway.schemas import Totals

START = to_datetime(1_800_000_000_000_000)


def latencies(**places: int) -> list[int]:
    wanted = {int(name.removeprefix("at_")): count for name, count in places.items()}
    return [wanted.get(place, 0) for place in range(len(BOUNDS) + 1)]


def column(minute: int, classes: Sequence[int] = (0, 0, 0, 0), **places: int) -> Column:
    return Column(START + timedelta(minutes=minute), classes, latencies(**places))


def period(*columns: Column) -> Period:
    calls = sum(each.calls for each in columns)
    totals = Totals(
        calls=calls,
        succeeded=calls,
        success_rate=1 if calls else None,
        mean_seconds=None,
        p50_seconds=0.012,
        p95_seconds=0.2,
        p99_seconds=1.4,
        request_bytes=0,
        response_bytes=0,
    )
    return Period(START, START + timedelta(minutes=len(columns)), 60, totals, [], columns)


@pytest.mark.parametrize(("asked", "found"), [("7d", "7d"), ("1h", "1h"), (None, "1h"), ("1y", "1h"), ("", "1h")])
def test_an_unknown_period_is_the_default_one(asked: str | None, found: str) -> None:
    name, span = periods.span_of(asked)
    assert name == found
    assert span is periods.SPANS[found]


def test_periods_have_names_that_fit_a_sentence() -> None:
    assert [span.last for span in periods.SPANS.values()] == [
        "last hour",
        "last 6 hours",
        "last 24 hours",
        "last 7 days",
    ]


def test_statuses_stand_upon_each_other_and_the_highest_column_fills_the_height() -> None:
    drawn = periods.draw_statuses(period(column(0), column(1, (6, 0, 3, 1)), column(2, (5, 0, 0, 0))))
    assert [(box.x, box.style) for box in drawn.boxes] == [
        (33.333, "series-4"),
        (33.333, "series-2"),
        (33.333, "series-3"),
        (66.667, "series-4"),
    ]
    assert [round(box.y) for box in drawn.boxes] == [72, 18, 0, 90]
    assert [round(box.height) for box in drawn.boxes] == [107, 53, 17, 89]
    assert drawn.marks[0].text == "0.17/s"
    assert drawn.text == "Calls by status over time: 11 2xx, 3 4xx, 1 5xx"


def test_each_column_says_what_it_shows() -> None:
    drawn = periods.draw_statuses(period(column(0), column(1, (6, 0, 3, 0))))
    assert [strip.title for strip in drawn.strips] == [
        "2027-01-15 08:00:00 UTC: no calls",
        "2027-01-15 08:01:00 UTC: 6 2xx, 3 4xx",
    ]


def test_slower_calls_stand_higher_and_more_are_hotter() -> None:
    drawn = periods.draw_latencies(period(column(0, (101, 0, 0, 0), at_4=100, at_6=1)))
    quick, slow = drawn.boxes
    assert quick.y > slow.y
    assert (quick.style, slow.style) == ("heat-5", "heat-1")
    assert "20 ms" in [mark.text for mark in drawn.marks]
    assert drawn.text == "Latencies over time: half of the calls within 12 ms, 99 % within 1.4 s"


@pytest.mark.parametrize("place", [0, len(BOUNDS)])
def test_the_quickest_and_the_slowest_have_a_row(place: int) -> None:
    drawn = periods.draw_latencies(period(column(0, (1, 0, 0, 0), **{f"at_{place}": 1})))
    (box,) = drawn.boxes
    assert 0 <= box.y <= box.y + box.height <= periods.HEIGHT


def test_a_wide_spread_has_fewer_words_at_its_edge() -> None:
    drawn = periods.draw_latencies(period(column(0, (2, 0, 0, 0), at_0=1, at_15=1)))
    assert [mark.text for mark in drawn.marks] == ["1 ms", "10 ms", "100 ms", "1 s", "10 s"]


def test_without_calls_nothing_is_drawn() -> None:
    empty = period(column(0), column(1))
    assert periods.draw_statuses(empty).boxes == []
    assert periods.draw_statuses(empty).marks == []
    assert periods.draw_latencies(empty).boxes == []
    assert periods.draw_latencies(empty).text == "Latencies over time: no calls"


def test_sums_of_the_whole_period() -> None:
    found = period(column(0, (1, 0, 0, 2), at_2=3), column(1, (4, 0, 0, 0), at_2=1, at_15=3))
    assert periods.count_classes(found) == [5, 0, 0, 2]
    assert periods.count_latencies(found) == [("up to 5 ms", 4), ("over 60 s", 3)]
