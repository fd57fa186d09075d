from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.rates import Rate
from signalbox.core.times import DAY, MICROSECONDS
from signalbox.notifications import pacing

START = 1_767_225_600_000_000
SECOND = MICROSECONDS


@given(st.lists(st.integers(0, 3 * SECOND), max_size=60), st.integers(1, 5), st.integers(1, 3))
def test_no_window_ever_holds_more_than_the_rate_lets_through(gaps: list[int], limit: int, seconds: int) -> None:
    rate, now, sends, begun = Rate(limit, seconds * SECOND), START, list[int](), list[int]()
    for gap in gaps:
        now += gap
        if pacing.free_slots(sends, rate, now=now):
            sends, begun = pacing.add_send(sends, rate, now=now), [*begun, now]
        assert len(sends) <= limit
    for position in range(limit, len(begun)):
        assert begun[position] - begun[position - limit] >= rate.window


@given(st.lists(st.integers(-10 * SECOND, 0), max_size=8), st.integers(1, 5))
def test_the_next_slot_is_the_first_moment_that_is_free(ages: list[int], limit: int) -> None:
    rate, sends = Rate(limit, 2 * SECOND), list[int]()
    for age in sorted(ages):
        sends = pacing.add_send(sends, rate, now=START + age)
    slot = pacing.next_slot(sends, rate, now=START)
    assert slot >= START
    assert pacing.free_slots(sends, rate, now=slot) > 0
    assert slot == START or pacing.free_slots(sends, rate, now=slot - 1) == 0


def test_places_in_the_queue_follow_each_other_at_the_rate() -> None:
    rate = Rate(2, SECOND)
    assert [pacing.turn(position, rate, at_once=1) for position in range(4)] == [
        0,
        SECOND // 2,
        SECOND,
        3 * SECOND // 2,
    ]
    assert pacing.turn(25, rate, at_once=20) == SECOND // 2


def test_waits_are_varied_by_a_fifth_and_end() -> None:
    waits = [10 * SECOND, 60 * SECOND]
    assert pacing.retry_delay(waits, 1, 0.0) == 8 * SECOND
    assert pacing.retry_delay(waits, 1, 1.0) == 12 * SECOND
    assert pacing.retry_delay(waits, 2, 0.5) == 60 * SECOND
    assert pacing.retry_delay(waits, 3, 0.5) is None
    assert pacing.retry_delay([], 1, 0.5) is None


def test_a_pause_is_between_a_second_and_a_day() -> None:
    assert pacing.pause_end(0.0, now=START) == START + SECOND
    assert pacing.pause_end(2.5, now=START) == START + 2_500_000
    assert pacing.pause_end(float("inf"), now=START) == START + DAY


def test_overdue_retries_are_spread_and_punctual_ones_are_not() -> None:
    over = 30 * SECOND
    assert pacing.spread(START, now=START + SECOND, over=over, fraction=0.7) == START + SECOND
    moments = [pacing.spread(START, now=START + DAY, over=over, fraction=part / 10) for part in range(11)]
    assert moments[0] == START + DAY
    assert moments[-1] == START + DAY + over
    assert moments == sorted(set(moments))
