from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from signalbox.app.errors import headers_of, status_of
from signalbox.gateway.breaker import (
    SAMPLES,
    Breaker,
    BreakerOpenError,
    BreakerSettings,
    FailedCall,
    Failure,
    State,
    Ticket,
    is_failure,
)
from signalbox.infra.http import (
    ConnectError,
    ConnectionBrokenError,
    ConnectionsBusyError,
    HttpClientError,
    InvalidResponseError,
    ResponseTimeoutError,
)

WALL = 1_767_225_600_000_000


def failure(at: float, outcome: str = "connect_failed", path: str = "/a") -> Failure:
    return Failure(at, "GET", path, outcome, "r1")


class Story:
    """A breaker, and the changes it told of."""

    def __init__(self, *, now: float = 0.0, jitter: float = 0.0, **settings: Any) -> None:
        self.changes: list[tuple[State, State]] = []
        self.breaker = Breaker(
            BreakerSettings.model_validate(settings),
            "shop",
            now=now,
            on_change=lambda old, new, breaker: self.changes.append((old, new)),
            jitter=lambda: jitter,
        )

    def fail(self, now: float, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.admit(now).fail(failure(now))

    def succeed(self, now: float, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.admit(now).succeed(now)

    def state(self) -> State:
        return self.breaker.state

    def refused(self, now: float) -> float:
        """In how many seconds a refused call may be tried again."""
        with pytest.raises(BreakerOpenError) as caught:
            self.breaker.admit(now)
        return caught.value.retry_after


# -- closed ---------------------------------------------------------------------------------------------------------


def test_it_opens_at_the_failure_that_is_one_too_many() -> None:
    story = Story()
    story.succeed(1, times=10)
    story.fail(2, times=9)
    assert story.state() == "closed"
    story.fail(3)
    assert story.state() == "open"
    assert story.breaker.reason == "10 of 20 calls failed in 10 s, last: connect_failed"
    assert story.changes == [("closed", "open")]


def test_few_calls_never_open_it() -> None:
    story = Story()
    story.fail(1, times=19)
    assert story.state() == "closed"
    story.fail(11, times=19)  # the first ones have gone
    assert story.state() == "closed"
    story.fail(11)
    assert story.state() == "open"


def test_calls_that_say_nothing_count_neither_way() -> None:
    story = Story()
    story.fail(1, times=19)
    for _ in range(50):
        story.breaker.admit(1).ignore()
    assert story.breaker.view(1, wall=WALL).calls == 19
    story.fail(1)
    assert story.state() == "open"


def test_calls_from_before_the_opening_change_nothing_later() -> None:
    story = Story()
    slow = [story.breaker.admit(0) for _ in range(40)]
    story.fail(1, times=20)
    for ticket in slow[:10]:
        ticket.succeed(2)
    assert story.state() == "open"
    for _ in range(3):
        story.succeed(7)
    assert story.state() == "closed"
    for ticket in slow[10:]:
        ticket.fail(failure(8))
    assert story.state() == "closed"
    assert story.breaker.view(8, wall=WALL).calls == 0


steps = st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=120)


@given(steps, st.integers(1, 30), st.sampled_from([0.1, 0.25, 0.5, 1.0]), st.sampled_from([5, 10, 20]))
def test_it_opens_just_when_a_naive_count_says_so(
    calls: Sequence[tuple[int, bool]], minimum: int, ratio: float, window: int
) -> None:
    story = Story(minimum_calls=minimum, failure_ratio=ratio, window=window)
    made: list[tuple[int, bool]] = []
    now = 0
    for halves, failed in calls:
        now += halves
        made.append((now, failed))
        (story.fail if failed else story.succeed)(now / 2)
        tenth = window / 10
        recent = [bad for at, bad in made if at / 2 // tenth > now / 2 // tenth - 10]
        opens = failed and len(recent) >= minimum and sum(recent) >= ratio * len(recent)
        assert (story.state() == "open") == opens
        if opens:
            assert story.breaker.reason.startswith(f"{sum(recent)} of {len(recent)} calls failed in {window} s")
            break
        view = story.breaker.view(now / 2, wall=WALL)
        assert (view.calls, view.failed) == (len(recent), sum(recent))


# -- open -----------------------------------------------------------------------------------------------------------


def test_while_open_it_refuses_and_says_for_how_long() -> None:
    story = Story()
    story.fail(100, times=20)
    assert story.refused(100) == 5
    assert story.refused(104.5) == 0.5
    story.breaker.admit(105)
    assert story.state() == "half_open"


def test_a_refusal_is_a_503_with_retry_after() -> None:
    error = BreakerOpenError("no", retry_after=4.2)
    assert status_of(error)[0] == 503
    assert headers_of(error) == {"Retry-After": "5"}
    assert error.code == "upstream_circuit_open"


def test_each_failed_probe_doubles_the_wait_up_to_a_minute() -> None:
    story = Story()
    story.fail(0, times=20)
    now, waits = 0.0, []
    for _ in range(200):
        waits.append(wait := story.refused(now))
        now += wait
        story.fail(now)
    assert waits[:6] == [5, 10, 20, 40, 60, 60]
    assert set(waits[6:]) == {60}
    assert story.breaker.reason == "a probe failed: connect_failed"
    story.succeed(now + 60, times=3)
    assert story.state() == "closed"
    story.fail(now + 61, times=20)
    assert story.refused(now + 61) == pytest.approx(5)


@pytest.mark.parametrize(("jitter", "wait"), [(0.0, 5.0), (0.5, 4.5), (1.0, 4.0)])
def test_jitter_takes_up_to_a_fifth_of_the_wait(jitter: float, wait: float) -> None:
    story = Story(jitter=jitter)
    story.fail(0, times=20)
    assert story.refused(0) == pytest.approx(wait)


# -- half-open ------------------------------------------------------------------------------------------------------


def half_open(**settings: Any) -> Story:
    story = Story(**settings)
    story.fail(0, times=story.breaker.settings.minimum_calls)
    assert story.state() == "open"
    return story


def test_few_calls_probe_at_once() -> None:
    story = half_open()
    first, *_ = [story.breaker.admit(5) for _ in range(3)]
    assert story.refused(5) == 1
    first.succeed(5)
    story.breaker.admit(5)
    assert story.refused(5) == 1


def test_as_many_successes_as_probes_close_it() -> None:
    story = half_open()
    story.succeed(6)
    story.succeed(7)
    assert story.state() == "half_open"
    story.succeed(8)
    assert story.state() == "closed"
    assert story.breaker.reason == "3 probes succeeded"
    assert story.changes == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
    story.fail(8, times=19)
    assert story.state() == "closed"  # failures from before are forgotten


def test_one_failure_opens_it_again() -> None:
    story = half_open()
    waiting = story.breaker.admit(5)
    story.succeed(5, times=2)
    story.fail(6)
    assert story.state() == "open"
    waiting.succeed(7)  # too late to close it
    assert story.state() == "open"
    assert story.refused(7) == 9
    assert story.changes[1:] == [("open", "half_open"), ("half_open", "open")]


def test_successes_of_an_earlier_time_do_not_help_to_close_it() -> None:
    story = half_open()
    story.succeed(5, times=2)
    story.fail(5)
    story.succeed(15, times=2)
    assert story.state() == "half_open"


def test_a_probe_whose_client_left_frees_its_place() -> None:
    story = half_open()
    for _ in range(10):
        for probe in [story.breaker.admit(5) for _ in range(3)]:
            probe.ignore()
    assert story.state() == "half_open"


def test_a_probe_reports_once() -> None:
    story = half_open()
    probe = story.breaker.admit(5)
    for _ in range(5):
        probe.succeed(5)
    probe.fail(failure(5))
    probe.ignore()
    assert story.state() == "half_open"
    assert [story.breaker.admit(5) for _ in range(3)]


def test_a_probe_that_does_not_end_makes_room_after_a_while_and_still_counts() -> None:
    story = half_open(probe_seconds=30, probes=1)
    probe = story.breaker.admit(5)
    assert story.refused(34.9) == 1
    story.breaker.admit(35)
    probe.succeed(36)
    assert story.state() == "closed"


def test_probes_of_an_earlier_time_still_hold_their_places() -> None:
    story = half_open()
    hanging = [story.breaker.admit(5) for _ in range(2)]
    story.fail(5)
    story.breaker.admit(15)
    assert story.refused(15) == 1
    hanging[0].fail(failure(16))
    assert story.state() == "half_open"
    story.breaker.admit(16)


class Machine:
    """A breaker and all its calls under way, driven by a list of steps."""

    def __init__(self, probes: int) -> None:
        self.story = Story(probes=probes, minimum_calls=2, probe_seconds=20, jitter=0.5)
        self.now = 0.0
        self.calls: list[tuple[Ticket, bool, float]] = []

    def admit(self) -> None:
        try:
            ticket = self.story.breaker.admit(self.now)
        except BreakerOpenError as error:
            assert 0 < error.retry_after <= 60
            assert self.story.state() != "closed"
            return
        self.calls.append((ticket, self.story.state() == "half_open", self.now + 20))

    def report(self, how: str, which: int) -> None:
        if not self.calls:
            return
        ticket, _, _ = self.calls.pop(which % len(self.calls))
        if how == "fail":
            ticket.fail(failure(self.now))
        elif how == "succeed":
            ticket.succeed(self.now)
        else:
            ticket.ignore()

    def probing(self) -> int:
        return sum(probe and self.now < ends for _, probe, ends in self.calls)


actions = st.lists(
    st.one_of(
        st.just(("admit", 0)),
        st.tuples(st.sampled_from(["fail", "succeed", "ignore"]), st.integers(0, 50)),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 3, 5, 11, 60])),
    ),
    max_size=150,
)


@given(actions, st.integers(1, 4))
def test_never_more_probes_than_allowed_and_never_shut_for_good(
    steps: Sequence[tuple[str, float]], probes: int
) -> None:
    machine = Machine(probes)
    for what, value in steps:
        if what == "wait":
            machine.now += value
        elif what == "admit":
            machine.admit()
        else:
            machine.report(what, int(value))
        assert machine.probing() <= probes
    machine.now += 60
    for _ in range(probes):
        machine.story.breaker.admit(machine.now).succeed(machine.now)
    assert machine.story.state() == "closed"
    allowed = {("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed")}
    assert set(machine.story.changes) <= allowed


# -- what is seen, and by hand --------------------------------------------------------------------------------------


def test_a_view_tells_why_since_when_and_of_which_calls() -> None:
    story = Story(now=50)
    fresh = story.breaker.view(60, wall=WALL)
    assert (fresh.state, fresh.reason, fresh.since, fresh.retry_at) == ("closed", "", WALL - 10_000_000, None)
    for number in range(20):
        ticket = story.breaker.admit(100)
        ticket.fail(Failure(100 + number / 10, "POST", f"/a/{number}?key=secret", "status 503", f"r{number}"))
    view = story.breaker.view(102, wall=WALL)
    assert (view.state, view.since, view.retry_at) == ("open", WALL - 100_000, WALL + 4_900_000)
    assert view.reason == "20 of 20 calls failed in 10 s, last: status 503"
    assert view.samples[-1] == FailedCall(WALL - 100_000, "POST", "/a/19", "status 503", "r19")
    assert [each.request_id for each in view.samples] == ["r15", "r16", "r17", "r18", "r19"]
    assert len(view.samples) == SAMPLES


def test_samples_are_bounded() -> None:
    story = Story()
    story.breaker.admit(1).fail(failure(1, path="/" + "x" * 100_000))
    assert len(story.breaker.samples[0].path) == 500


def test_a_reset_closes_an_open_one() -> None:
    story = half_open()
    story.breaker.reset(1)
    assert story.state() == "closed"
    assert story.breaker.reason == "reset by hand"
    assert story.changes == [("closed", "open"), ("open", "closed")]
    story.fail(1, times=19)
    assert story.state() == "closed"


def test_a_reset_closes_a_half_open_one_whose_probes_count_no_more() -> None:
    story = half_open()
    probe = story.breaker.admit(5)
    story.breaker.reset(6)
    probe.fail(failure(7))
    assert story.state() == "closed"
    assert story.breaker.view(7, wall=WALL).failed == 0


def test_a_reset_of_a_closed_one_forgets_what_was_counted() -> None:
    story = Story()
    story.fail(1, times=19)
    story.breaker.reset(1)
    story.fail(1, times=19)
    assert story.state() == "closed"
    assert story.changes == []


def test_one_that_is_off_never_opens() -> None:
    story = Story(enabled=False)
    story.fail(1, times=1_000)
    story.breaker.admit(1).ignore()
    story.succeed(1)
    assert story.breaker.view(1, wall=WALL).calls == 0
    assert story.state() == "closed"


@pytest.mark.parametrize(
    ("status", "failed"), [(200, False), (404, False), (429, False), (500, True), (503, True), (599, True)]
)
def test_statuses_that_count(status: int, failed: bool) -> None:
    assert Story().breaker.counts(status) is failed
    assert not Story(ignored_statuses=[503]).breaker.counts(503)


@pytest.mark.parametrize("status", [501, 505])
def test_statuses_that_answer_what_was_asked(status: int) -> None:
    assert not Story().breaker.counts(status)
    assert Story(ignored_statuses=[]).breaker.counts(status)


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (ConnectError("x"), True),
        (ConnectionsBusyError("x"), False),
        (ConnectionBrokenError("x"), True),
        (InvalidResponseError("x"), True),
        (ResponseTimeoutError("x"), True),
    ],
)
def test_errors_that_count(error: HttpClientError, failed: bool) -> None:
    assert is_failure(error) is failed


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": 0},
        {"failure_ratio": 0},
        {"failure_ratio": 1.1},
        {"minimum_calls": 0},
        {"probes": 0},
        {"open_seconds": 61},
        {"ignored_statuses": [404]},
        {"windows": 10},
    ],
)
def test_settings_that_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BreakerSettings.model_validate(wrong)
