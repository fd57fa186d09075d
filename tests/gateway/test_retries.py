import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from signalbox.gateway.retries import (
    RetryBudget,
    RetrySettings,
    backoff,
    may_repeat,
    may_repeat_answer,
    time_left,
)
from signalbox.infra.http import (
    ConnectError,
    ConnectionBrokenError,
    ConnectionsBusyError,
    HttpClientError,
    InvalidResponseError,
    ResponseTimeoutError,
    Timeouts,
)


async def streamed() -> AsyncIterator[bytes]:
    yield b"x"


IDEMPOTENT = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]
OTHERS = ["POST", "PATCH", "CONNECT", "get", "PURGE", ""]
UNCLEAR = [ConnectionBrokenError("x"), ResponseTimeoutError("x"), InvalidResponseError("x"), HttpClientError("x")]


@pytest.mark.parametrize("method", [*IDEMPOTENT, *OTHERS])
@pytest.mark.parametrize("body", [b"x", streamed()], ids=["whole", "streamed"])
def test_where_nothing_was_sent_everything_may_be_sent_again(method: str, body: Any) -> None:
    assert may_repeat(ConnectError("x"), method=method, body=body)
    assert not may_repeat(ConnectionsBusyError("x"), method=method, body=body)


@pytest.mark.parametrize("error", UNCLEAR, ids=lambda each: each.code)
def test_where_the_upstream_may_have_acted_only_what_changes_nothing_more(error: HttpClientError) -> None:
    assert all(may_repeat(error, method=method, body=b"x") for method in IDEMPOTENT)
    assert not any(may_repeat(error, method=method, body=b"x") for method in OTHERS)
    assert not any(may_repeat(error, method=method, body=streamed()) for method in IDEMPOTENT)


def test_by_default_an_answer_is_passed_on_whatever_it_is() -> None:
    settings = RetrySettings()
    assert not any(may_repeat_answer(settings, status, method="GET", body=b"") for status in range(200, 600))


def test_answers_that_are_listed() -> None:
    settings = RetrySettings.model_validate({"statuses": [502, 503]})
    assert may_repeat_answer(settings, 503, method="GET", body=b"")
    assert not may_repeat_answer(settings, 504, method="GET", body=b"")
    assert not may_repeat_answer(settings, 503, method="POST", body=b"")
    assert not may_repeat_answer(settings, 503, method="PUT", body=streamed())
    assert not may_repeat_answer(settings, 503, method="GET", body=b"", retry_after=True)


@pytest.mark.parametrize(
    "wrong", [{"retries": 6}, {"retries": -1}, {"statuses": [500]}, {"budget": 1.1}, {"floor": -1}, {"retry": 1}]
)
def test_settings_that_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RetrySettings.model_validate(wrong)


def test_the_wait_doubles_and_is_spread() -> None:
    settings = RetrySettings()
    assert [backoff(settings, attempt, jitter=1.0) for attempt in (1, 2, 3)] == [0.025, 0.05, 0.1]
    assert backoff(settings, 2, jitter=0.5) == 0.025
    assert backoff(settings, 5, jitter=0.0) == 0


def test_an_attempt_has_the_time_that_the_call_has_left() -> None:
    timeouts = Timeouts(connect=1, read=2, total=10)
    assert time_left(timeouts, 4) == Timeouts(connect=1, read=2, total=6)
    assert time_left(timeouts, 10) is None
    assert time_left(timeouts, 11) is None
    unbounded = Timeouts()
    assert time_left(unbounded, 1e6) is unbounded


# -- budget ---------------------------------------------------------------------------------------------------------


def outage(budget: RetryBudget, rate: int, seconds: int) -> int:
    """Retries of so many calls a second, each of which fails and would be sent again five times."""
    retries = 0
    for number in range(rate * seconds):
        now = 100 + number / rate
        budget.count(now)
        retries += sum(budget.take(now) for _ in range(5))
    return retries


def test_a_total_outage_makes_a_fifth_more_calls() -> None:
    assert 5_900 <= outage(RetryBudget(RetrySettings()), 1_000, 30) <= 6_000


def test_few_calls_may_all_be_sent_again() -> None:
    retries = outage(RetryBudget(RetrySettings()), 1, 60)
    assert 150 <= retries <= 3 * 60 + 30


def test_without_a_budget_there_is_none() -> None:
    assert outage(RetryBudget(RetrySettings(budget=0, floor=0)), 10, 20) == 0


def test_retries_come_back_when_the_window_has_passed() -> None:
    budget = RetryBudget(RetrySettings(floor=0))
    for _ in range(10):
        budget.count(1)
    assert [budget.take(1) for _ in range(3)] == [True, True, False]
    for _ in range(10):
        budget.count(12)
    assert [budget.take(12) for _ in range(3)] == [True, True, False]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40), st.integers(0, 12)), max_size=60),
    st.sampled_from([0.0, 0.1, 0.2, 1.0]),
    st.sampled_from([0.0, 0.5, 3.0]),
)
def test_never_over_the_share_or_the_floor_in_any_run(
    bursts: Sequence[tuple[int, int, int]], share: float, floor: float
) -> None:
    """Each burst comes some quarters of a second after the one before: so many calls, so many wishes to retry."""
    budget = RetryBudget(RetrySettings(budget=share, floor=floor))
    calls, retries, now = list[int](), list[int](), 400
    for quarters, made, wishes in bursts:
        now += quarters
        for _ in range(made):
            budget.count(now / 4)
        calls += [now] * made
        recent = sum(at // 4 > now // 4 - 10 for at in calls)
        for _ in range(wishes):
            if budget.take(now / 4):
                retries.append(now)
                taken = sum(at // 4 > now // 4 - 10 for at in retries)
                assert taken <= max(share * recent, floor * 10)
    seconds = (now - 400) / 4
    assert len(retries) <= share * len(calls) + floor * (seconds + 10)


def test_random_traffic_uses_what_it_may() -> None:
    dice, budget = random.Random(3), RetryBudget(RetrySettings(floor=0))
    now, calls, retries = 0.0, 0, 0
    for _ in range(20_000):
        now += dice.expovariate(500)
        budget.count(now)
        calls += 1
        retries += dice.random() < 0.5 and budget.take(now)
    assert 0.18 * calls < retries <= 0.2 * calls
