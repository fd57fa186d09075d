import dataclasses
from typing import Any

import pytest

from signalbox.core.errors import UnavailableError
from signalbox.infra.jobs import Backoff, Done, Fail, Job, Report, Snooze, outcomes

NOW = 1_767_225_600_000_000
SECOND = 1_000_000


def make(**values: Any) -> Job:
    standard: dict[str, Any] = {
        "id": 1,
        "kind": "test.work",
        "payload": {},
        "attempt": 1,
        "max_attempts": 3,
        "claim": 1,
        "lease_until": NOW + 10 * SECOND,
        "due_at": NOW - 1,
        "priority": 0,
        "key": None,
        "since": NOW - SECOND,
        "max_age": 100 * SECOND,
        "traceparent": None,
    }
    return Job(**{**standard, **values})


def fail(job: Job, error: Exception, fraction: float = 1.0) -> Report:
    return outcomes.of_failure(job, error, now=NOW, backoff=Backoff(SECOND, 60 * SECOND), fraction=fraction)


def note(_tx: object) -> None:
    """What a handler wants recorded."""


def test_what_handlers_may_say() -> None:
    job = make()
    assert outcomes.of_outcome(job, None) == Report(job, "done", job.due_at)
    assert outcomes.of_outcome(job, Done(note)) == Report(job, "done", job.due_at, then=note)
    said = outcomes.of_outcome(job, Snooze(NOW + 5, "budget", note))
    assert said == Report(job, "waiting", NOW + 5, 1, "budget", note)
    said = outcomes.of_outcome(job, Fail("gone\0", note))
    assert said == Report(job, "dead", job.due_at, error="gone\ufffd", then=note)


@pytest.mark.parametrize("answer", [True, {"ok": 1}, "done"])
def test_what_they_may_not(answer: Any) -> None:
    with pytest.raises(TypeError, match="may return None, Done, Snooze or Fail"):
        outcomes.of_outcome(make(), answer)


def test_a_failure_waits_by_its_attempt_until_the_last() -> None:
    first = fail(make(), ValueError("a\nb"))
    assert (first.state, first.due_at, first.uncounted, first.error) == ("waiting", NOW + SECOND, 0, "ValueError: a\nb")
    assert fail(make(attempt=2), ValueError("x")).due_at == NOW + 2 * SECOND
    assert fail(make(attempt=2), ValueError("x"), 0).due_at == NOW
    last = fail(make(attempt=3), KeyError("k"))
    assert (last.state, last.error) == ("dead", "KeyError: 'k'")


def test_a_server_that_says_when_is_not_asked_sooner() -> None:
    assert fail(make(), UnavailableError("x", retry_after=7.5)).due_at == NOW + 7_500_000
    assert fail(make(attempt=2), UnavailableError("x", retry_after=0.1)).due_at == NOW + 2 * SECOND


def test_age_is_bounded_however_it_waits() -> None:
    oldest = NOW - SECOND + 100 * SECOND
    assert outcomes.of_outcome(make(), Snooze(oldest)).state == "waiting"
    late = outcomes.of_outcome(make(), Snooze(oldest + 1, "budget"))
    assert (late.state, late.error) == ("dead", "given up, as it is too old to wait any longer; budget")
    assert "put off" in str(outcomes.of_outcome(make(), Snooze(oldest + 1)).error)
    failed = fail(make(since=NOW - 100 * SECOND), ValueError("x"))
    assert (failed.state, failed.error) == ("dead", "given up, as it is too old to wait any longer; ValueError: x")


def test_what_was_lost_waits_apart_from_its_neighbours_the_second_time() -> None:
    assert outcomes.of_loss(make(), now=NOW, fraction=0.9).due_at == NOW
    second = outcomes.of_loss(make(attempt=2), now=NOW, fraction=0.25)
    assert (second.due_at, second.error) == (NOW + SECOND // 2, outcomes.LOST)
    assert outcomes.of_loss(make(attempt=3), now=NOW, fraction=0.0).state == "dead"


def test_who_lost_its_workers_again_and_again_waits_a_minute_at_most() -> None:
    often = outcomes.of_loss(make(attempt=30, max_attempts=100), now=NOW, fraction=1.0)
    assert (often.state, often.due_at) == ("waiting", NOW + 60 * SECOND)


def test_what_is_given_back_is_as_if_it_had_never_begun() -> None:
    report = outcomes.of_release(make(attempt=3, since=0), now=NOW)
    assert (report.state, report.due_at, report.uncounted) == ("waiting", NOW, 1)


def test_errors_are_described_by_the_end_of_their_traceback() -> None:
    assert outcomes.describe(ValueError("no such id")) == "ValueError: no such id"
    assert outcomes.describe(OSError()) == "OSError"
    assert outcomes.describe(dataclasses.FrozenInstanceError("x")) == "dataclasses.FrozenInstanceError: x"
