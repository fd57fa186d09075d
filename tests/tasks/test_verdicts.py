"""What becomes of a task when a call about it has ended."""

import pytest

from signalbox.infra.jobs import Backoff
from signalbox.tasks import verdicts
from signalbox.tasks.providers import PollFailedError, Receipt, SubmitRefusedError
from signalbox.tasks.verdicts import Assignment, Patience, translate

NOW = 1_000_000_000
SECOND = 1_000_000
PATIENCE = Patience(
    max_attempts=5,
    max_age=100 * SECOND,
    lookup_after=10 * SECOND,
    poll_after=7,
    can_resolve=True,
    backoff=Backoff(SECOND, 8 * SECOND),
)
TASK = Assignment(1, "shop", "ref", {}, 2, "Not Started", NOW, NOW - SECOND, doubtful=False)


def refuse(task: Assignment = TASK, **more: object) -> verdicts.Verdict:
    error = SubmitRefusedError("no", **{"permanent": False, "sent": False, **more})  # type: ignore[arg-type]
    return verdicts.refused(task, error, now=NOW, fraction=1.0, patience=PATIENCE)


def test_the_wait_grows_with_attempts_up_to_a_cap() -> None:
    waits = [refuse(TASK._replace(attempt=attempt)).next_at - NOW for attempt in (1, 2, 3, 4)]
    assert waits == [SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]


@pytest.mark.parametrize("task", [TASK._replace(attempt=5), TASK._replace(created_at=NOW - 101 * SECOND)])
def test_attempts_and_age_are_bounded(task: Assignment) -> None:
    verdict = refuse(task)
    assert (verdict.phase, verdict.status, verdict.error, verdict.topic) == ("done", "Error", "no", "task.dead")


def test_one_that_waited_long_for_its_first_attempt_is_not_too_old_for_a_second() -> None:
    late = TASK._replace(attempt=1, created_at=NOW - 101 * SECOND)
    assert (refuse(late).phase, refuse(late, retry_after=3.0).phase) == ("queued", "queued")


def test_a_doubt_is_looked_into_once_at_least_and_not_for_ever() -> None:
    def doubt(task: Assignment, now: int = NOW) -> str:
        return verdicts.doubtful(task, "no answer", now=now, fraction=0.5, patience=PATIENCE).phase

    late = TASK._replace(attempt=5, created_at=NOW - 101 * SECOND)
    assert doubt(late) == "unclear"
    assert doubt(late._replace(doubtful=True)) == "done"
    again = late._replace(attempt=4, doubtful=True)
    assert (doubt(again), doubt(again, NOW + 101 * SECOND)) == ("unclear", "done")


def test_what_was_put_off_does_not_count_however_often_but_ages() -> None:
    verdict = refuse(TASK._replace(attempt=5), retry_after=3.0)
    assert (verdict.phase, verdict.uncounted, verdict.next_at) == ("queued", 1, NOW + 3 * SECOND)
    assert verdict.pause_until == NOW + 3 * SECOND
    old = refuse(TASK._replace(created_at=NOW - 101 * SECOND), retry_after=3.0)
    assert (old.phase, old.topic) == ("done", "task.dead")


def test_a_doubtful_one_stays_doubtful_until_the_provider_says_yes() -> None:
    assert refuse(TASK._replace(doubtful=True)).phase == "unclear"
    assert refuse(TASK._replace(doubtful=True), retry_after=1.0).phase == "unclear"
    assert refuse(sent=True).phase == "unclear"
    assert refuse(permanent=True, sent=True).phase == "done"


def test_without_a_way_to_find_out_the_outcome_is_unknown() -> None:
    patience = Patience(5, 100 * SECOND, 10 * SECOND, 7, can_resolve=False)
    verdict = verdicts.doubtful(TASK, "no answer", now=NOW, fraction=0.5, patience=patience)
    assert (verdict.phase, verdict.error) == ("done", "submission outcome unknown: no answer")


def test_a_task_that_is_not_known_is_sent_again_only_when_no_call_can_be_on_its_way() -> None:
    early = verdicts.not_found(TASK, now=NOW + 9 * SECOND, patience=PATIENCE)
    assert (early.phase, early.next_at, early.uncounted) == ("unclear", NOW + 10 * SECOND, 1)
    assert verdicts.not_found(TASK, now=NOW + 10 * SECOND, patience=PATIENCE).phase == "queued"


def test_a_look_up_that_failed_leaves_the_doubt_and_heeds_retry_after() -> None:
    error = PollFailedError("busy", retry_after=60.0)
    verdict = verdicts.lookup_failed(TASK, error, now=NOW, fraction=0.0, patience=PATIENCE)
    assert (verdict.phase, verdict.next_at, verdict.pause_until) == ("unclear", NOW + 60 * SECOND, NOW + 60 * SECOND)


def test_what_was_not_sent_is_as_it_was() -> None:
    assert verdicts.unsent(TASK, until=5)[1:5] == ("queued", "Not Started", 5, None)
    assert verdicts.unsent(TASK._replace(doubtful=True), until=5).phase == "unclear"


@pytest.mark.parametrize(
    ("word", "phase", "status", "topic"),
    [
        (None, "submitted", "In Progress", None),
        ("Not Started", "submitted", "Not Started", None),
        ("Completed", "done", "Completed", None),
        ("Error", "done", "Error", "task.error"),
    ],
)
def test_a_receipt_may_tell_more_than_that_it_arrived(
    word: str | None, phase: str, status: str, topic: str | None
) -> None:
    verdict = verdicts.submitted(TASK, Receipt("x\0", word), now=NOW, patience=PATIENCE)
    assert (verdict.phase, verdict.status, verdict.topic) == (phase, status, topic)
    assert (verdict.external_id, verdict.next_at) == ("x\ufffd", NOW + 7)


def test_foreign_words_are_kept_beside_what_we_knew() -> None:
    assert translate("Completed", otherwise="Not Started") == ("Completed", None)
    assert translate("COOKING" * 100, otherwise="Not Started") == ("Not Started", ("COOKING" * 100)[:200])
