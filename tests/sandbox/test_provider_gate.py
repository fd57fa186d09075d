import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.rates import parse_rate
from signalbox.sandbox.provider_gate import Gate

FIVE = parse_rate("5/10s")


def test_as_many_as_the_limit_come_through_and_the_next_is_told_when() -> None:
    gate = Gate([FIVE])
    assert [gate.admit("submit", at) for at in (0, 1, 2, 3, 4)] == [0] * 5
    assert gate.admit("list", 4) == 6
    assert gate.admit("list", 10) == 0
    assert (gate.refused, dict(gate.calls)) == (1, {"submit": 5, "list": 1})
    assert [arrival.admitted for arrival in gate.arrivals] == [True] * 5 + [False, True]


def test_the_longest_wait_of_several_limits_counts() -> None:
    gate = Gate([parse_rate("1/1s"), parse_rate("2/60s")])
    assert [gate.admit("submit", at) for at in (0, 0.5, 1, 2)] == [0, 0.5, 0, 58]


def test_who_comes_before_the_time_that_was_told_is_counted() -> None:
    gate = Gate([parse_rate("1/2s")])
    for at in (0, 0.5, 1.9, 2.1, 3.0):
        gate.admit("submit", at)
    assert (gate.refused, gate.impatient) == (3, 2)
    gate.close(10)
    gate.close(5)
    gate.admit("submit", 9.9)
    assert gate.impatient == 3


def test_without_a_limit_everything_comes_through() -> None:
    gate = Gate()
    assert {gate.admit("submit", 0) for _ in range(100)} == {0}


@given(st.lists(st.floats(0, 60), max_size=60).map(sorted))
def test_no_window_lets_more_through_and_none_is_refused_below(times: list[float]) -> None:
    gate = Gate([FIVE])
    waits = [gate.admit("submit", at) for at in times]
    passed = [at for at, wait in zip(times, waits, strict=True) if not wait]
    for at, wait in zip(times, waits, strict=True):
        before = sum(at - 10 < other <= at for other in passed)
        assert before <= 5
        assert wait == 0 or before == 5
    assert gate.busiest(FIVE) == max((sum(at - 10 < other <= at for other in times) for at in times), default=0)


@pytest.mark.parametrize(("times", "most"), [([], 0), ([0], 1), ([0, 10], 1), ([0, 9.9], 2), ([0, 1, 10.5, 11, 12], 3)])
def test_the_busiest_window(times: list[float], most: int) -> None:
    gate = Gate()
    for at in times:
        gate.admit("list", at)
    assert gate.busiest(FIVE) == most
