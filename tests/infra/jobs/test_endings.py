"""What every queue of jobs publishes is tried in ``tests/contracts``; here is what it says."""

import pytest

from signalbox.infra.jobs import ABOUT, CANCELLED, DEAD
from signalbox.infra.jobs.endings import of_end
from signalbox.infra.jobs.outcomes import of_outcome
from tests.infra.jobs.test_outcomes import make


@pytest.mark.parametrize(
    ("state", "topic", "severity", "error"),
    [("dead", DEAD, "error", "x"), ("cancelled", CANCELLED, "info", "its job was cancelled")],
)
def test_what_is_told_of_a_job_that_ended_undone(state: str, topic: str, severity: str, error: str) -> None:
    event = of_end(of_outcome(make(key="k"), None)._replace(error="x"), state)
    assert event is not None
    assert (event.topic, event.severity) == (topic, severity)
    assert event.data == {"id": 1, "kind": "test.work", "key": "k", "attempts": 1, "error": error}


@pytest.mark.parametrize(
    ("state", "about", "told"),
    [
        ("dead", DEAD, None),
        ("dead", CANCELLED, DEAD),
        ("cancelled", DEAD, CANCELLED),
        ("cancelled", CANCELLED, None),
        ("done", None, None),
        ("waiting", None, None),
    ],
)
def test_nothing_is_told_of_what_was_itself_to_tell_of_that(state: str, about: str | None, told: str | None) -> None:
    event = of_end(of_outcome(make(payload={ABOUT: about}), None), state)
    assert (None if event is None else event.topic) == told
