import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.errors import InvalidError
from signalbox.core.times import HOUR, MICROSECONDS
from signalbox.infra.jobs import Backoff


def test_the_longest_wait_doubles_up_to_the_cap() -> None:
    backoff = Backoff()
    longest = [backoff.longest(attempt) for attempt in range(1, 15)]
    assert longest[:12] == [MICROSECONDS << number for number in range(12)]
    assert longest[12:] == [HOUR, HOUR]


@given(attempt=st.integers(1, 10_000), fraction=st.floats(0, 1))
def test_any_wait_is_between_none_and_the_longest(attempt: int, fraction: float) -> None:
    backoff = Backoff(base=3, cap=10**9)
    assert 0 <= backoff.delay(attempt, fraction) <= backoff.longest(attempt) <= 10**9


def test_the_whole_span_is_used() -> None:
    assert [Backoff(base=8, cap=8).delay(5, number / 4) for number in range(5)] == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(("base", "cap"), [(-1, 5), (6, 5)])
def test_nonsense_is_refused(base: int, cap: int) -> None:
    with pytest.raises(InvalidError):
        Backoff(base=base, cap=cap)
