from typing import Any

import pytest

from signalbox.core.errors import InvalidError
from signalbox.infra.jobs import Kind, NewJob
from signalbox.infra.jobs.job import Job, to_text


async def handle(_job: Job) -> None:
    return


@pytest.mark.parametrize("kind", ["tasks.submit", "a.b", "grid.report_daily.x2"])
def test_kinds(kind: str) -> None:
    assert NewJob(kind, {}).kind == kind


@pytest.mark.parametrize(
    "kind", ["", "tasks", "Tasks.submit", "tasks.", ".x", "tasks submit", "a." + "b" * 99, "a.b\n"]
)
def test_what_is_no_kind(kind: str) -> None:
    with pytest.raises(InvalidError, match="no kind of job"):
        NewJob(kind, {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": ""},
        {"key": "a\0b"},
        {"key": "\ud800"},
        {"key": "k" * 301},
        {"priority": 2},
        {"max_attempts": 0},
        {"max_age": -1},
    ],
)
def test_what_cannot_be_enqueued(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        NewJob("test.work", {}, **wrong)


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"timeout": 0.0}])
def test_what_could_never_run(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        Kind(handle, **wrong)


def test_errors_are_text_that_every_database_takes() -> None:
    assert to_text("a\0b\ud800c") == "a\ufffdb?c"
    assert len(to_text("x" * 9_999)) == 500
