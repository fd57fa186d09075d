from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signalbox.gateway.windows import CallWindow


@given(st.lists(st.tuples(st.integers(0, 160), st.booleans()), max_size=200), st.integers(0, 160))
@example([(3, True)], 4 * 19)
@example([(0, False), (4 * 19, True)], 0)
def test_a_window_counts_what_a_naive_one_does(calls: Sequence[tuple[int, bool]], wait: int) -> None:
    """Times are in quarters of a second; a window of ten seconds has parts of one second."""
    window, made, now = CallWindow(10), list[tuple[int, bool]](), 1_000
    for quarters, marked in calls:
        now += quarters
        made.append((now, marked))
        (window.count_marked if marked else window.count)(now / 4)
    now += wait
    recent = [marked for at, marked in made if at // 4 > now // 4 - 10]
    assert window.totals(now / 4) == (len(recent), sum(recent))
    assert len([at for at, _ in made if at >= now - 36]) <= len(recent) <= len([at for at, _ in made if at > now - 40])


@pytest.mark.parametrize("seconds", [1, 0.7, 10, 3_600])
def test_what_is_counted_goes_after_the_window(seconds: float) -> None:
    window = CallWindow(seconds)
    for number in range(100):
        window.count(1e6 + number * seconds / 1_000)
    assert window.totals(1e6 + seconds * 0.85) == (100, 0)
    assert window.totals(1e6 + seconds * 1.2) == (0, 0)
    assert window.totals(2e9) == (0, 0)
