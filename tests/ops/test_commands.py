import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.auth.terminal import Opener
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context
from signalbox.infra.jobs import (
    Every,
    JobEndedError,
    JobNotFoundError,
    NewJob,
    Report,
    Schedule,
    ScheduleNotFoundError,
    enqueue_many,
)
from signalbox.infra.jobs.queue import claim, record
from signalbox.infra.jobs.schedule import fire
from signalbox.ops.commands import WhichJobsError, build_commands
from tests.support.databases import Place

Run = Callable[..., Result]


@pytest.fixture
def opener(place: Place, clock: ManualClock) -> Opener:
    @asynccontextmanager
    async def open_context() -> AsyncIterator[Context]:
        database = place.open()
        missing: Any = None  # these commands need nothing else
        try:
            yield Context(
                clock=clock,
                db=database,
                calls_db=database,
                http=missing,
                outbound=missing,
                answers=missing,
                limiter=missing,
                budgets=missing,
                metrics=missing,
                broadcast=missing,
            )
        finally:
            await database.close()

    return open_context


@pytest.fixture
def run(opener: Opener) -> Run:
    app = typer.Typer()
    app.add_typer(build_commands(opener), name="jobs")

    def run(*words: str, fails: type[Exception] | None = None) -> Result:
        result = CliRunner().invoke(app, ["jobs", *words])
        if fails is None:
            assert result.exception is None, result.output
        else:
            assert isinstance(result.exception, fails), result.output
        return result

    return run


def act(opener: Opener, fn: Callable[..., Any], *args: Any, **named: Any) -> Any:
    async def opened() -> Any:
        async with opener() as context:
            return await context.db.write(fn, *args, **{"now": context.clock.now(), **named})

    return asyncio.run(opened())


def die(opener: Opener, count: int, kind: str = "test.work") -> None:
    """Dead jobs."""
    act(opener, enqueue_many, [NewJob(kind, {"n": 1})] * count)
    jobs = act(opener, claim, kind, worker="w", limit=count, lease=9)
    act(opener, record, [Report(job, "dead", 0, error="no [such] id") for job in jobs])


def test_jobs_are_listed(run: Run, opener: Opener) -> None:
    assert "There are no such jobs" in run("list").stderr
    die(opener, 2)
    act(opener, enqueue_many, [NewJob("test.other", {})])
    table = run("list").stdout
    assert all(word in table for word in ("test.work", "test.other", "dead", "waiting", "1/20", "no [such] id"))
    assert [job["id"] for job in json.loads(run("list", "--json").stdout)] == [3, 2, 1]
    assert [job["id"] for job in json.loads(run("list", "--json", "--state", "dead", "--limit", "1").stdout)] == [2]
    assert [job["id"] for job in json.loads(run("list", "--json", "--kind", "test.other").stdout)] == [3]


def test_a_job_is_shown(run: Run, opener: Opener) -> None:
    die(opener, 1)
    assert "no [such] id" in run("show", "1").stdout
    assert json.loads(run("show", "1", "--json").stdout)["payload"] == {"n": 1}
    run("show", "2", fails=JobNotFoundError)


def test_a_job_runs_again_and_is_cancelled(run: Run, opener: Opener) -> None:
    die(opener, 1)
    assert "The job 1 (test.work) runs again." in run("retry", "1").stderr
    assert json.loads(run("cancel", "1", "--json").stdout)["state"] == "cancelled"
    run("cancel", "1", fails=JobEndedError)
    assert json.loads(run("retry", "1", "--json").stdout)["state"] == "waiting"
    act(opener, claim, "test.work", worker="w", limit=1, lease=9)
    assert "is told to stop" in run("cancel", "1").stderr
    entries = act(opener, lambda tx, now: list_entries(tx, wanted=AuditFilter(), limit=9))
    assert [entry.action for entry in entries] == ["job.cancel", "job.retry", "job.cancel", "job.retry"]
    assert {entry.actor[:3] for entry in entries} == {"cli"}


def test_several_jobs_are_changed_at_once_and_each_for_itself(run: Run, opener: Opener) -> None:
    die(opener, 2)
    told = run("retry", "1", "2", "9").stderr
    assert "2 of 3 jobs: run again." in told
    assert "9: " in told
    found = json.loads(run("cancel", "2", "1", "9", "--json").stdout)
    assert [(each["id"], each["done"]) for each in found] == [(2, True), (1, True), (9, False)]


def test_all_dead_jobs_run_again(run: Run, opener: Opener, clock: ManualClock) -> None:
    die(opener, 1_003)
    die(opener, 1, "test.other")
    clock.advance(1)
    assert json.loads(run("retry", "--all-dead", "--kind", "test.other", "--json").stdout) == {"retried": 1}
    assert "1003 jobs run again." in run("retry", "--all-dead").stderr
    assert "0 jobs run again." in run("retry", "--all-dead").stderr


@pytest.mark.parametrize("words", [(), ("1", "--all-dead"), ("--kind", "test.work"), ("1", "--kind", "test.work")])
def test_it_must_be_said_which(run: Run, words: tuple[str, ...]) -> None:
    error = run("retry", *words, fails=WhichJobsError).exception
    assert "jobs retry ID" in str(error)


def test_schedules_are_listed_run_paused_and_resumed(run: Run, opener: Opener) -> None:
    assert "No worker has run a schedule yet." in run("schedules").stderr
    act(opener, fire, [Schedule("s", "test.work", Every(10**6))])
    assert "test.work" in run("schedules").stdout
    assert "The schedule s is paused." in run("pause", "s").stderr
    assert "paused" in run("schedules").stdout
    assert json.loads(run("run", "s", "--json").stdout)["kind"] == "test.work"
    assert json.loads(run("resume", "s", "--json").stdout)["paused_at"] is None
    assert json.loads(run("schedules", "--json").stdout)[0]["last_at"] is None
    for word in ("run", "pause", "resume"):
        run(word, "x", fails=ScheduleNotFoundError)


def test_kinds_are_counted(run: Run, opener: Opener) -> None:
    assert "No job waits" in run("kinds").stderr
    die(opener, 2)
    act(opener, enqueue_many, [NewJob("test.other", {})])
    assert "test.other" in run("kinds").stdout
    found = {each["kind"]: each for each in json.loads(run("kinds", "--json").stdout)}
    assert (found["test.work"]["dead"], found["test.other"]["waiting"]) == (2, 1)


def test_all_that_wait_of_a_kind_are_cancelled(run: Run, opener: Opener) -> None:
    die(opener, 1)
    act(opener, enqueue_many, [NewJob("test.work", {})] * 3 + [NewJob("test.other", {})])
    assert json.loads(run("cancel", "--all-waiting", "--kind", "test.work", "--json").stdout) == {"cancelled": 3}
    states = [job["state"] for job in json.loads(run("list", "--json").stdout)]
    assert states == ["waiting", "cancelled", "cancelled", "cancelled", "dead"]
    for words in ((), ("--all-waiting",), ("1", "--all-waiting"), ("1", "--kind", "test.work")):
        run("cancel", *words, fails=WhichJobsError)
