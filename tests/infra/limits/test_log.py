from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.rates import Rate
from signalbox.infra.limits.log import ENTRIES, PermitLog

SECOND = 1_000_000

steps = st.lists(st.tuples(st.integers(0, SECOND), st.integers(1, 5), st.integers(0, SECOND)), max_size=60)
"""Microseconds that pass, permits that are wanted, microseconds for which they may lie."""


def take(log: PermitLog, limit: int, count: int, now: int, margin: int = 0) -> int:
    log.expire(now)
    granted = max(0, min(count, limit - log.used))
    if granted:
        log.add(granted, now + margin)
    return granted


@given(steps, st.integers(1, 6))
def test_permits_are_granted_exactly_as_long_as_fewer_than_the_limit_count(
    moves: list[tuple[int, int, int]], limit: int
) -> None:
    log, model, now = PermitLog.empty(Rate(limit, SECOND)), [0] * 0, 10 * SECOND
    for passed, wanted, margin in moves:
        now += passed
        counting = [stamp for stamp in model if stamp + SECOND > now]
        expected = min(wanted, max(0, limit - len(counting)))
        assert take(log, limit, wanted, now, margin) == expected
        model += [now + margin] * expected
        log = PermitLog.load(Rate(limit, SECOND), log.dump())
        assert log.used == sum(stamp + SECOND > now for stamp in model)


@given(steps, st.lists(st.floats(0, 1), min_size=300, max_size=300), st.sampled_from([3, 2 * ENTRIES]))
def test_however_late_permits_are_used_no_window_holds_more_than_the_limit(
    moves: list[tuple[int, int, int]], delays: list[float], limit: int
) -> None:
    log, now, delay = PermitLog.empty(Rate(limit, SECOND)), 10 * SECOND, iter(delays)
    scale, sent = max(1, limit // 4), list[tuple[int, int]]()
    for passed, wanted, margin in moves:
        now += passed
        granted = take(log, limit, wanted * scale, now, margin)
        sent.append((now + int(margin * next(delay)), granted))
    for start, _ in sent:
        assert sum(count for at, count in sent if start <= at < start + SECOND) <= limit


@given(st.lists(st.integers(0, 2_000), min_size=1, max_size=3_000))
def test_a_large_limit_takes_few_bytes_and_gives_permits_back_a_thousandth_late_at_most(gaps: list[int]) -> None:
    rate, now = Rate(1_000_000, SECOND), 10 * SECOND
    log, first = PermitLog.empty(rate), now + gaps[0]
    for gap in gaps:
        now += gap
        take(log, rate.limit, 1, now)
        assert len(log.dump()) <= 12 * (ENTRIES + 2)
    count = log.used
    log.expire(first + SECOND + SECOND // ENTRIES + 1)
    assert log.used < count


def test_up_to_its_bound_a_limit_is_exact_to_the_microsecond() -> None:
    rate = Rate(ENTRIES, SECOND)
    log = PermitLog.empty(rate)
    for number in range(ENTRIES):
        assert take(log, ENTRIES, 1, number) == 1
    assert take(log, ENTRIES, 1, SECOND - 1) == 0
    for number in range(ENTRIES):
        assert take(log, ENTRIES, 5, SECOND + number) == 1


def test_it_tells_when_so_many_can_be_had() -> None:
    log = PermitLog.empty(Rate(5, SECOND))
    for at, count in ((100, 2), (200, 1), (300, 2)):
        log.add(count, at)
    assert [log.room_at(room) for room in (1, 2, 3, 4, 5)] == [SECOND + at for at in (100, 100, 200, 300, 300)]
    assert log.ends_at == SECOND + 300
    log.expire(SECOND + 100)
    assert [log.room_at(room) for room in (1, 2, 3)] == [0, 0, SECOND + 200]
    with pytest.raises(ValueError, match="6 permits can never be had under 5/1s"):
        log.room_at(6)


def test_moments_stand_in_order_however_long_permits_may_lie() -> None:
    log = PermitLog.empty(Rate(9, SECOND))
    for at in (500, 100, 300, 300, 200):
        log.add(1, at)
    times = [log.room_at(room) for room in range(5, 10)]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert len(log.dump()) == 12 * 4
