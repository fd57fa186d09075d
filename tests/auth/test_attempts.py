from bisect import bisect_right
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.auth.attempts import Attempts
from signalbox.auth.errors import TooManyAttemptsError

WINDOW = 60_000_000
LIMIT = 3
KEYS: dict[Hashable, int] = {"anna@here": LIMIT}


def fail(attempts: Attempts, now: int, limits: dict[Hashable, int] = KEYS) -> None:
    attempts.begin(limits, now=now)
    attempts.end(limits, now=now, failed=True)


def most_in_any_window(times: list[int]) -> int:
    times = sorted(times)
    return max((bisect_right(times, start + WINDOW - 1) - index for index, start in enumerate(times)), default=0)


@given(st.lists(st.tuples(st.integers(0, WINDOW // 4), st.integers(0, WINDOW // 2), st.booleans()), max_size=60))
def test_no_window_holds_more_failures_than_allowed(steps: list[tuple[int, int, bool]]) -> None:
    """Attempts that overlap as they like: (pause before it, how long it takes, whether it fails)."""
    attempts = Attempts(window=WINDOW)
    under_way: list[tuple[int, bool]] = []  # (end, whether it fails)
    failures: list[int] = []
    now = 0

    def finish(until: int) -> None:
        for item in sorted(item for item in under_way if item[0] <= until):
            under_way.remove(item)
            attempts.end(KEYS, now=item[0], failed=item[1])
            failures.extend([item[0]] if item[1] else [])

    for pause, duration, failed in steps:
        now += pause
        finish(now)
        try:
            attempts.begin(KEYS, now=now)
        except TooManyAttemptsError as error:
            recent = sum(failure > now - WINDOW for failure in failures)
            assert recent + len(under_way) >= LIMIT, "nobody is refused without need"
            assert error.retry_after >= 1
        else:
            under_way.append((now + duration, failed))
    finish(now + WINDOW)
    assert most_in_any_window(failures) <= LIMIT


@given(st.lists(st.integers(0, WINDOW // 2), min_size=LIMIT, max_size=LIMIT))
def test_retry_after_is_when_it_works_again(pauses: list[int]) -> None:
    attempts, now = Attempts(window=WINDOW), 0
    for pause in pauses:
        now += pause
        fail(attempts, now)
    if now >= WINDOW:
        return
    with pytest.raises(TooManyAttemptsError) as refused:
        fail(attempts, now)
    again = now + round(refused.value.retry_after * 1_000_000)
    if refused.value.retry_after > 1:
        with pytest.raises(TooManyAttemptsError):
            fail(attempts, again - 1)
    fail(attempts, again)


def test_attempts_under_way_count() -> None:
    attempts = Attempts(window=WINDOW)
    for _ in range(LIMIT):
        attempts.begin(KEYS, now=0)
    with pytest.raises(TooManyAttemptsError):
        attempts.begin(KEYS, now=0)
    attempts.end(KEYS, now=1, failed=False)
    attempts.begin(KEYS, now=1)


def test_success_costs_nothing_and_leaves_nothing() -> None:
    attempts = Attempts(window=WINDOW)
    for now in range(1000):
        attempts.begin(KEYS, now=now)
        attempts.end(KEYS, now=now, failed=False)
    assert not attempts._logs


def test_each_key_has_its_own_limit() -> None:
    attempts = Attempts(window=WINDOW)
    for number in range(5):
        fail(attempts, number, {f"user{number}": 1, "address": 5})
    with pytest.raises(TooManyAttemptsError):
        fail(attempts, 6, {"another": 1, "address": 5})
    fail(attempts, 7, {"another": 1, "elsewhere": 5})


def test_a_refused_attempt_counts_for_no_key() -> None:
    attempts = Attempts(window=WINDOW)
    fail(attempts, 0, {"a": 1})
    with pytest.raises(TooManyAttemptsError):
        fail(attempts, 1, {"b": 1, "a": 1})
    fail(attempts, 2, {"b": 1})


def test_keys_are_bounded_and_forgotten() -> None:
    attempts = Attempts(window=WINDOW, max_keys=10)
    for number in range(10):
        fail(attempts, number, {str(number): 1})
    with pytest.raises(TooManyAttemptsError) as refused:
        fail(attempts, 10, {"eleventh": 1})
    assert refused.value.retry_after == 60
    fail(attempts, WINDOW + 10, {"eleventh": 1})
    assert len(attempts._logs) == 1
