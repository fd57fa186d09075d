from datetime import UTC, datetime, timedelta

from signalbox.console.levels import HEIGHT, draw_steps
from signalbox.criticality.schemas import Step

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(hours=10)


def step(hour: float, level: int) -> Step:
    at = SINCE + timedelta(hours=hour)
    return Step(at=at, level=level, lowest=level, highest=level, set_by="weather", reason="wind")


def test_steps_lie_where_they_lasted_and_are_as_high_as_their_level() -> None:
    drawn = draw_steps([step(-5, 1), step(2, 5), step(5, 3)], lowest=1, highest=5, since=SINCE, until=UNTIL)
    areas = [(box.x, box.width, box.height, box.style) for box in drawn.boxes[::2]]
    assert areas == [
        (0, 20, HEIGHT / 5, "fill-1 faint"),
        (20, 30, HEIGHT, "fill-5 faint"),
        (50, 50, HEIGHT * 3 / 5, "fill-3 faint"),
    ]
    assert [mark.text for mark in drawn.marks] == ["1", "2", "3", "4", "5"]
    assert drawn.text == "Level over time: now 3, at worst 5, 2 changes"
    assert "level 5, by weather: wind" in drawn.strips[1].title


def test_a_moment_is_seen_at_the_end_too() -> None:
    (box, _) = draw_steps([step(10, 2)], lowest=1, highest=5, since=SINCE, until=UNTIL).boxes
    assert box.x + box.width == 100
    assert box.width == 0.3


def test_a_long_scale_has_few_marks() -> None:
    drawn = draw_steps([step(0, 50)], lowest=0, highest=100, since=SINCE, until=UNTIL)
    assert len(drawn.marks) <= 6


def test_nothing_is_drawn_of_nothing() -> None:
    drawn = draw_steps([], lowest=1, highest=5, since=SINCE, until=UNTIL)
    assert drawn.boxes == []
    assert drawn.text == "Level over time: none is known"
