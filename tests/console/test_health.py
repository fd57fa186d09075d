from typing import Any

import pytest

from signalbox.console import health
from signalbox.core.times import MICROSECONDS
from signalbox.gateway.schemas import UpstreamOut
from signalbox.infra.jobs import Backlog
from signalbox.ops.health import Readiness

NOW = 1_000 * MICROSECONDS


def upstream(name: str, state: str) -> UpstreamOut:
    breaker = {"state": state, "reason": "", "since": 0, "retry_at": None, "calls": 0, "failed": 0, "samples": []}
    values: dict[str, Any] = dict.fromkeys(UpstreamOut.model_fields)
    values |= {"name": name, "breaker": breaker, "access": "open", "in_flight": 0, "seconds": 0, "calls": 0}
    return UpstreamOut.model_validate({**values, "calls_per_second": 0, "targets": [], "limits": []})


def test_jobs_add_up_over_their_kinds() -> None:
    backlog = {
        "tasks.submit": Backlog(3, 1, NOW - 40 * MICROSECONDS),
        "tasks.poll": Backlog(2, 0, NOW + MICROSECONDS),
        "grid.report": Backlog(1, 4, None),
    }
    assert health.add_up(backlog, now=NOW) == health.Waiting(6, 5, 40.0)
    assert health.add_up(backlog, now=NOW, prefix="grid.") == health.Waiting(1, 4, 0.0)
    assert health.add_up({}, now=NOW) == health.Waiting(0, 0, 0.0)


def test_a_backlog_says_whether_it_is_late() -> None:
    assert (health.Waiting(3, 0, 0.0).note, health.Waiting(3, 0, 0.0).state) == ("none is late", "")
    assert (health.Waiting(3, 0, 40.0).note, health.Waiting(3, 0, 40.0).state) == ("the first is 40 s late", "warning")


def test_what_is_counted_only_so_far_says_so() -> None:
    many = health.Waiting(10_000, 20_000, 0)
    assert (many.waiting_text, many.dead_text) == ("10,000+", "10,000+")


def test_a_database_that_is_away_says_why() -> None:
    away = health.database_part(Readiness(status="unready", checks={"database": "no answer within 2 s"}))
    assert (away.state, away.text) == ("bad", "no answer within 2 s")
    assert health.database_part(Readiness(status="ready", checks={"database": "ok"})).state == "ok"
    assert health.database_part(Readiness(status="draining", checks={})).text == "draining"


@pytest.mark.parametrize(
    ("states", "state", "text"),
    [
        (None, "idle", "served by other processes"),
        ([], "idle", "no upstream is set up"),
        (["closed"], "ok", "1 upstream"),
        (["closed", "closed"], "ok", "2 upstreams"),
        (["closed", "half_open"], "warning", "being tried again: b"),
        (["open", "half_open"], "bad", "calls are held back from a"),
    ],
)
def test_the_gateway_is_as_well_as_its_worst_upstream(states: list[str] | None, state: str, text: str) -> None:
    known = None if states is None else [upstream("ab"[index], each) for index, each in enumerate(states)]
    part = health.gateway_part(known)
    assert (part.state, part.text) == (state, text)


def test_work_that_nobody_does_is_said_first() -> None:
    assert health.job_part(health.Waiting(1, 1, 60.0)).state == "bad"
    assert health.job_part(health.Waiting(1, 1, 0.0)).text == "1 failed for good"
    assert health.job_part(health.Waiting(1, 0, 0.0)).state == "ok"


def test_features_are_told_apart_by_their_kinds() -> None:
    parts = {part.name: part for part in health.feature_parts({"grid.report": Backlog(0, 2, None)}, now=NOW)}
    assert (parts["Grid"].state, parts["Grid"].text) == ("warning", "2 failed for good")
    assert (parts["Tasks"].state, parts["Tasks"].word) == ("ok", "fine")


def test_silence_is_worth_a_look() -> None:
    assert health.criticality_part(fresh=False, silent=0).state == "bad"
    assert health.criticality_part(fresh=True, silent=1).text == "1 consumer is silent"
    assert health.criticality_part(fresh=True, silent=2).text == "2 consumers are silent"
    assert health.criticality_part(fresh=True, silent=0).state == "ok"
