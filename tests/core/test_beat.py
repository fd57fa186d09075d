"""When the common beat is, whatever the clock reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.beat import beat_after, until_beat

LENGTHS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


@given(st.floats(min_value=0, max_value=1e7), st.sampled_from((0.01, 3.3, *LENGTHS)))
def test_the_next_beat_is_neither_at_once_nor_far(now: float, seconds: float) -> None:
    assert seconds / 8 - 1e-6 <= beat_after(now, seconds) <= seconds * 9 / 8 + 1e-6


@given(st.floats(min_value=0, max_value=1e7), st.sampled_from(LENGTHS))
def test_all_wake_at_multiples_of_the_shortest_beat(now: float, seconds: float) -> None:
    beats = (now + beat_after(now, seconds)) / 0.25
    assert beats == pytest.approx(round(beats), abs=1e-6)


@pytest.mark.parametrize("early", [0.0, 0.0005, 0.001])
@pytest.mark.parametrize("seconds", LENGTHS)
def test_a_timer_that_rings_early_does_not_ring_twice(seconds: float, early: float) -> None:
    beat = 100.0 + beat_after(100.0, seconds)
    assert beat_after(beat - early, seconds) == pytest.approx(seconds + early, abs=1e-6)


def test_the_present_is_taken_from_the_clock() -> None:
    assert 0.03 < until_beat(0.25) < 0.29
