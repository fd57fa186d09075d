import asyncio
import sys
import time
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.errors import InvalidError
from signalbox.core.rates import Rate
from signalbox.core.times import MICROSECONDS
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.limits.memory import MemoryLimiter

RATES = [Rate(limit, seconds * MICROSECONDS) for limit, seconds in [(1, 1), (2, 1), (3, 2), (7, 3)]]
STEP = MICROSECONDS // 4
SECOND = MICROSECONDS

demand_maps = st.dictionaries(st.sampled_from("abc"), st.sampled_from(RATES), max_size=3)
moves = st.one_of(st.sampled_from([0, 0, 1, STEP - 1, STEP, SECOND - 1, SECOND, 5 * SECOND]), st.integers(-SECOND, 0))
calls = st.lists(st.tuples(moves, demand_maps), max_size=120)


def limiter(**bounds: int) -> MemoryLimiter:
    return MemoryLimiter(ManualClock(), **bounds)


class Model:
    """All grants ever, looked through at each call."""

    def __init__(self) -> None:
        self.grants: dict[tuple[str, Rate], list[int]] = defaultdict(list)
        self.latest = 0

    def live(self, key: str, rate: Rate, now: int) -> list[int]:
        return [at for at in self.grants[key, rate] if at <= now < at + rate.window]

    def fits(self, demands: Mapping[str, Rate], now: int) -> bool:
        return all(len(self.live(key, rate, now)) < rate.limit for key, rate in demands.items())

    def take(self, demands: Mapping[str, Rate], given: int) -> tuple[bool, int, list[tuple[int, int]]]:
        self.latest = now = max(self.latest, given)
        granted = self.fits(demands, now)
        retry_after = 0
        if granted:
            for key, rate in demands.items():
                self.grants[key, rate].append(now)
        else:
            ends = {at + rate.window for key, rate in demands.items() for at in self.live(key, rate, now)}
            retry_after = min(end for end in ends if self.fits(demands, end)) - given
        quotas = []
        for key, rate in demands.items():
            live = self.live(key, rate, now)
            quotas.append((rate.limit - len(live), live[0] + rate.window - given if live else 0))
        return granted, retry_after, quotas


def stored(subject: MemoryLimiter) -> tuple[int, int]:
    logs = [log for window in subject._windows.values() for shard in window.shards for log in shard.values()]
    return len(logs), sum(1 if isinstance(log, int) else len(log) - 1 for log in logs)


def most_in_a_window(times: Iterable[int], length: int) -> int:
    ordered = sorted(times)
    return max((sum(at <= other < at + length for other in ordered) for at in ordered), default=0)


@given(calls)
def test_decisions_are_those_of_the_model(steps: list[tuple[int, dict[str, Rate]]]) -> None:
    subject, model, now = limiter(), Model(), 10 * SECOND
    for move, demands in steps:
        now += move
        verdict = subject.take_now(demands, now)
        assert (verdict.allowed, verdict.retry_after, verdict.quotas) == model.take(demands, now)
        assert (verdict.refused_by is None) == verdict.allowed
        assert stored(subject) == (subject.keys, subject.permits)
    for (_, rate), times in model.grants.items():
        assert most_in_a_window(times, rate.window) <= rate.limit


@given(calls, st.integers(3, 12), st.integers(7, 24))
def test_bounds_hold_and_nobody_is_refused_because_of_them(
    steps: list[tuple[int, dict[str, Rate]]], max_keys: int, max_permits: int
) -> None:
    subject, model, now = limiter(max_keys=max_keys, max_permits=max_permits), Model(), 10 * SECOND
    for number, (move, demands) in enumerate(steps):
        now += move
        many = {f"{key}{number % 5}": rate for key, rate in demands.items()}
        verdict = subject.take_now(many, now)
        assert subject.keys <= max_keys
        assert subject.permits <= max_permits
        assert stored(subject) == (subject.keys, subject.permits)
        model.latest = max(model.latest, now)
        if model.fits(many, model.latest):
            assert verdict.allowed
        if verdict.allowed:
            for key, rate in many.items():
                model.grants[key, rate].append(model.latest)


@pytest.mark.parametrize("limit", [1, 2, 40])
def test_a_permit_is_back_exactly_after_the_window(limit: int) -> None:
    subject, rate = limiter(), Rate(limit, SECOND)
    for at in range(limit):
        assert subject.take_now({"a": rate}, at).allowed
    assert subject.take_now({"a": rate}, SECOND - 1) == (False, "a", 1, [(0, 1)])
    for at in range(SECOND, SECOND + limit):
        assert subject.take_now({"a": rate}, at).allowed
        assert not subject.take_now({"a": rate}, at).allowed


def test_a_clock_that_steps_back_frees_nothing() -> None:
    subject, rate = limiter(), Rate(1, SECOND)
    assert subject.take_now({"a": rate}, 100 * SECOND).allowed
    refusal = subject.take_now({"a": rate}, 40 * SECOND)
    assert (refusal.allowed, refusal.retry_after) == (False, 61 * SECOND)
    assert not subject.take_now({"a": rate}, 101 * SECOND - 1).allowed
    assert subject.take_now({"a": rate}, 101 * SECOND).allowed


async def test_its_own_time_is_the_monotonic_clock() -> None:
    clock, rate = ManualClock(), Rate(1, SECOND)
    subject = MemoryLimiter(clock)
    clock.advance(5)
    assert (await subject.take({"a": rate})).allowed
    assert not subject.take_now({"a": rate}, 6 * SECOND - 1).allowed
    clock.advance(1)
    assert (await subject.take({"a": rate})).allowed


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_a_limit_that_cannot_be_counted_is_an_error_and_takes_nothing(names: str) -> None:
    subject = limiter(max_permits=100)
    rates = {"a": Rate(1, SECOND), "b": Rate(101, SECOND)}
    with pytest.raises(InvalidError, match="at most 100 permits can be counted exactly here, so 101/1s is too many"):
        subject.take_now({name: rates[name] for name in names}, 0)
    assert (subject.keys, subject.permits) == (0, 0)
    assert subject.take_now({"b": Rate(100, SECOND)}, 0).allowed


def test_keys_that_are_over_are_swept_by_calls_of_others() -> None:
    subject, rate = limiter(), Rate(5, SECOND)
    for number in range(20_000):
        subject.take_now({f"old-{number}": rate}, 0)
    assert subject.keys == 20_000
    for number in range(40_000):
        subject.take_now({"new": Rate(50_000, SECOND)}, SECOND + number)
    assert subject.keys == 1


def test_a_rate_that_nobody_uses_any_more_is_dropped() -> None:
    subject, rate = limiter(), Rate(100_000, 3_600 * SECOND)
    for limit in range(1, 4):
        subject.take_now({"a": Rate(limit, SECOND)}, 0)
    for number in range(100_000):
        subject.take_now({"b": rate}, SECOND + number)
    assert list(subject._windows) == [rate]
    assert subject.take_now({"a": Rate(1, SECOND)}, 2 * SECOND).allowed


def test_logs_do_not_keep_what_is_over() -> None:
    subject, rate = limiter(), Rate(1_000, SECOND)
    for number in range(20_000):
        assert subject.take_now({"a": rate}, number * 1_000).allowed
        assert subject.permits <= 2_001
    assert stored(subject) == (1, subject.permits)


def test_a_flood_of_addresses_forgets_the_least_used_and_refuses_nobody() -> None:
    subject, rate = limiter(max_keys=20_000), Rate(10, 3_600 * SECOND)
    regulars = [f"regular-{number}" for number in range(200)]
    for call in range(10):
        for name in regulars:
            assert subject.take_now({name: rate}, call).allowed
    for number in range(60_000):
        assert subject.take_now({f"flood-{number}": rate}, 10 + number).allowed
    assert subject.keys <= 20_000
    remembered = [name for name in regulars if not subject.take_now({name: rate}, 100_000).allowed]
    assert len(remembered) == len(regulars)


def test_a_flood_on_one_limit_leaves_the_keys_of_others() -> None:
    subject, flooded, quiet = limiter(max_keys=2_000), Rate(10, 3_600 * SECOND), Rate(2, 3_600 * SECOND)
    for number in range(500):
        subject.take_now({f"quiet-{number}": quiet}, 0)
    for number in range(10_000):
        subject.take_now({f"flood-{number}": flooded}, 1)
    used = [subject.take_now({f"quiet-{number}": quiet}, 2).quotas[0][0] for number in range(500)]
    assert used == [0] * 500


def test_what_a_key_takes() -> None:
    subject, rate = limiter(), Rate(10_000, 3_600 * SECOND)
    for number in range(10_000):
        subject.take_now({"one": rate, f"address-{number}": rate}, number)
    logs = {key: log for window in subject._windows.values() for shard in window.shards for key, log in shard.items()}
    assert isinstance(logs["address-5"], int)
    assert isinstance(logs["one"], array)
    assert sys.getsizeof(logs["one"]) < 100_000


async def test_looking_at_usage_gives_way_and_bears_changes_meanwhile() -> None:
    subject, rate = limiter(), Rate(5, 3_600 * SECOND)
    for number in range(5_000):
        subject.take_now({f"a-{number}": rate}, 0)
    looking = asyncio.create_task(subject.usage("a-", rate, top=3))
    steps = 0
    while not looking.done():
        await asyncio.sleep(0)
        subject.take_now({f"b-{steps}": rate}, 0)
        steps += 1
    usage = await looking
    assert steps > 10
    assert usage.keys == 5_000
    assert [each.used for each in usage.fullest] == [1, 1, 1]


def test_no_call_takes_long_however_many_keys_there_are() -> None:
    subject, rate = limiter(max_keys=100_000), Rate(5, SECOND)
    spent = []
    for number in range(150_000):
        started = time.thread_time()
        subject.take_now({f"address-{number}": rate}, number * 20)
        spent.append(time.thread_time() - started)
    assert sorted(spent)[-20] < 0.002
