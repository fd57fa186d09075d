from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from signalbox.core.errors import InvalidError
from signalbox.gateway.targets import Policy, Target, Targets, TargetSettings
from signalbox.infra.http import Origin

WALL = 1_767_225_600_000_000
POLICIES: tuple[Policy, ...] = ("round_robin", "least_in_flight")


def made(count: int, **settings: Any) -> Targets:
    return Targets([f"http://t{number}.test/base" for number in range(count)], TargetSettings.model_validate(settings))


def picked(targets: Targets, now: float, times: int) -> list[str]:
    """Which targets as many calls go to that succeed at once."""
    chosen = []
    for _ in range(times):
        target = targets.pick(now)
        target.succeed()
        chosen.append(target.origin.host.partition(".")[0])
    return chosen


def eject(target: Target, now: float) -> None:
    for _ in range(target.failures_in_a_row, 5):
        target.in_flight += 1
        target.fail(now)


def ejected(targets: Targets, now: float) -> list[bool]:
    return [each.ejected_until is not None for each in targets.views(now, wall=WALL)]


def test_a_target_knows_its_place() -> None:
    (target,) = made(1).all
    assert target.origin == Origin("http", "t0.test", 80)
    assert target.base == b"/base"


def test_there_is_at_least_one() -> None:
    with pytest.raises(InvalidError, match="at least one"):
        Targets([], TargetSettings())


def test_one_after_the_other() -> None:
    assert picked(made(3), 0, 7) == ["t0", "t1", "t2", "t0", "t1", "t2", "t0"]


def test_the_one_with_the_fewest_calls_under_way() -> None:
    targets = made(3, policy="least_in_flight")
    held = [targets.pick(0) for _ in range(9)]
    assert Counter(each.url for each in held) == dict.fromkeys([each.url for each in targets.all], 3)
    held[1].succeed()
    assert targets.pick(0) is held[1]
    assert targets.in_flight == 9


def test_idle_targets_take_turns_whatever_the_policy() -> None:
    assert Counter(picked(made(3, policy="least_in_flight"), 0, 300)) == {"t0": 100, "t1": 100, "t2": 100}


@pytest.mark.parametrize("policy", POLICIES)
def test_the_second_try_goes_elsewhere_however_many_calls_come_between(policy: Policy) -> None:
    targets = made(2, policy=policy)
    for between in range(4):
        first = targets.pick(0)
        first.succeed()
        picked(targets, 0, between)
        second = targets.pick(0, exclude=[first])
        second.succeed()
        assert second is not first


@pytest.mark.parametrize("policy", POLICIES)
def test_what_a_call_has_tried_is_tried_again_only_where_nothing_else_is(policy: Policy) -> None:
    targets = made(3, policy=policy)
    tried: list[Target] = []
    for _ in range(3):
        tried.append(targets.pick(0, exclude=tried))
    assert set(tried) == set(targets.all)
    assert targets.pick(0, exclude=tried) in tried
    assert made(1).pick(0, exclude=made(1).all).in_flight == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_a_target_that_fails_five_times_in_a_row_is_left_out_for_a_while(policy: Policy) -> None:
    targets = made(2, policy=policy)
    bad = targets.all[0]
    for _ in range(4):
        bad.in_flight += 1
        bad.fail(100)
    assert set(picked(targets, 100, 2)) == {"t0", "t1"}  # the success began a new row
    eject(bad, 100)
    assert set(picked(targets, 109.9, 10)) == {"t1"}
    assert set(picked(targets, 110, 10)) == {"t0", "t1"}


def test_ignored_calls_break_no_row_and_make_none() -> None:
    targets = made(2)
    bad = targets.all[0]
    for _ in range(5):
        bad.in_flight += 2
        bad.ignore()
        bad.fail(100)
    assert ejected(targets, 100) == [True, False]
    assert bad.in_flight == 0


def test_each_further_ejection_lasts_twice_as_long_up_to_five_minutes() -> None:
    targets, now, lasted = made(2), 100.0, []
    bad = targets.all[0]
    eject(bad, now)
    for _ in range(8):
        lasted.append(bad.ejected_until - now)
        now = bad.ejected_until
        bad.in_flight += 1
        bad.fail(now)  # one is enough: the row goes on
    assert lasted == [10, 20, 40, 80, 160, 300, 300, 300]
    now = bad.ejected_until + 300
    bad.in_flight += 1
    bad.fail(now)
    assert bad.ejected_until - now == 10


def test_calls_from_before_an_ejection_do_not_make_it_longer() -> None:
    targets = made(2)
    bad = targets.all[0]
    eject(bad, 100)
    for _ in range(50):
        bad.in_flight += 1
        bad.fail(109)
    assert bad.ejected_until == 110
    assert bad.ejections == 1


def test_one_that_came_back_and_answers_has_five_tries_again() -> None:
    targets = made(2)
    bad = targets.all[0]
    eject(bad, 100)
    assert set(picked(targets, 110, 4)) == {"t0", "t1"}
    for _ in range(4):
        bad.in_flight += 1
        bad.fail(111)
    assert ejected(targets, 111) == [False, False]


def test_where_all_would_be_ejected_all_are_used() -> None:
    targets = made(3)
    for number, each in enumerate(targets.all):
        eject(each, 100 + number)
    assert ejected(targets, 103) == [True, True, True]
    assert set(picked(targets, 103, 3)) == {"t0", "t1", "t2"}
    assert picked(targets, 110.5, 2) == ["t0", "t0"]


def test_a_single_target_is_never_ejected() -> None:
    targets = made(1)
    eject(targets.all[0], 100)
    assert ejected(targets, 100) == [False]
    assert picked(targets, 100, 3) == ["t0"] * 3


def test_what_is_seen_of_a_target() -> None:
    targets = made(2)
    eject(targets.all[1], 100)
    targets.pick(100)
    first, second = targets.views(104, wall=WALL)
    assert (first.url, first.in_flight, first.failures_in_a_row) == ("http://t0.test/base", 1, 0)
    assert (first.ejected_until, first.ejections) == (None, 0)
    assert (second.failures_in_a_row, second.ejected_until, second.ejections) == (5, WALL + 6_000_000, 1)


steps = st.lists(
    st.tuples(st.sampled_from(["pick", "again", "succeed", "fail", "fail", "ignore", "wait"]), st.integers(0, 30)),
    max_size=200,
)


@given(steps, st.integers(1, 4), st.sampled_from(POLICIES))
def test_never_an_ejected_one_while_another_is_in_and_never_none(
    steps: Sequence[tuple[str, int]], count: int, policy: Policy
) -> None:
    targets = made(count, policy=policy, consecutive_failures=2)
    held: list[Target] = []
    now = 0.0
    for what, number in steps:
        if what == "wait":
            now += number
        elif what in {"pick", "again"}:
            out = dict(zip(targets.all, ejected(targets, now), strict=True))
            exclude = held[-2:] if what == "again" else []
            target = targets.pick(now, exclude=exclude)
            assert not out[target] or all(out.values())
            candidates = [each for each in targets.all if not out[each]] or list(targets.all)
            assert target not in exclude or all(each in exclude for each in candidates)
            held.append(target)
        elif held:
            target = held.pop(number % len(held))
            if what == "fail":
                target.fail(now)
            elif what == "succeed":
                target.succeed()
            else:
                target.ignore()
        assert Counter(held) == Counter({each: each.in_flight for each in targets.all if each.in_flight})


@pytest.mark.parametrize(
    "wrong", [{"policy": "random"}, {"consecutive_failures": 0}, {"ejection_seconds": 301}, {"eject": True}]
)
def test_settings_that_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TargetSettings.model_validate(wrong)
