"""States as stretches of a line."""

from datetime import UTC, datetime, timedelta

from signalbox.console.timeline import SHORTEST, timeline

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_each_state_lasts_until_the_next() -> None:
    drawn = timeline([(at(0), "waiting"), (at(25), "running")], until=at(100))
    assert [(each.name, each.start, each.width, each.seconds) for each in drawn] == [
        ("waiting", 0, 25, 25),
        ("running", 25, 75, 75),
    ]


def test_a_state_that_has_just_begun_is_seen_and_within_the_line() -> None:
    drawn = timeline([(at(0), "waiting"), (at(100), "done")], until=at(100))
    assert (drawn[-1].width, drawn[-1].start, drawn[-1].seconds) == (SHORTEST, 100 - SHORTEST, 0)


def test_clocks_that_disagree_draw_nothing_beyond_the_line() -> None:
    for each in timeline([(at(10), "waiting"), (at(5), "running"), (at(30), "done")], until=at(20)):
        assert 0 <= each.start <= each.start + each.width <= 100
        assert each.seconds >= 0


def test_what_has_no_states_is_not_drawn() -> None:
    assert timeline([], until=START) == []
    assert [each.width for each in timeline([(START, "waiting")], until=START)] == [SHORTEST]
