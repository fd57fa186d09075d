"""``signalbox tasks``."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from signalbox.core.errors import UnprocessableError
from signalbox.infra.broadcast.memory import MemoryBroadcast
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context
from signalbox.tasks import intake
from signalbox.tasks.commands import FindAloneError, build_commands
from signalbox.tasks.errors import TaskNotFailedError, TaskNotFoundError, UnknownProviderError
from signalbox.tasks.intake import Desk
from signalbox.tasks.journal import Journal
from signalbox.tasks.schemas import NewTask
from signalbox.tasks.settings import TasksSettings
from tests.support.databases import Place

Run = Callable[..., Result]


@pytest.fixture
def run(place: Place, clock: ManualClock) -> Run:
    """``signalbox tasks ...``, where the tasks 1 (not started) and 2 (failed) are."""

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
                broadcast=MemoryBroadcast(),
            )
        finally:
            await database.close()

    async def fill() -> None:
        new = [NewTask(id=1), NewTask(id=2, validation_error="Invalid [IP]")]
        async with open_context() as context:
            journal = Journal(context.broadcast)
            await context.db.write(
                intake.accept_many, new, desk=Desk({}, None), journal=journal, app="shop", now=clock.now()
            )

    asyncio.run(fill())
    app = typer.Typer()
    app.add_typer(build_commands(open_context, TasksSettings), name="tasks")

    def run(*words: str, fails: type[Exception] | None = None) -> Result:
        result = CliRunner().invoke(app, ["tasks", *words])
        if fails is None:
            assert result.exception is None, result.output
        else:
            assert isinstance(result.exception, fails), result.output
        return result

    return run


def test_tasks_are_listed(run: Run) -> None:
    told = run("list").stdout
    assert "Invalid [IP]" in told
    assert [each["id"] for each in json.loads(run("list", "--json").stdout)] == [2, 1]
    assert [each["id"] for each in json.loads(run("list", "--status", "Error", "--json").stdout)] == [2]
    assert "There are no such tasks" in run("list", "--provider", "acme").stderr


def test_a_task_is_found_by_its_id_or_reference(run: Run) -> None:
    reference = json.loads(run("show", "1", "--json").stdout)["task"]["reference"]
    for text in (reference, f" {reference} ", "1"):
        assert [each["id"] for each in json.loads(run("list", "--find", text, "--json").stdout)] == [1]
    assert "There are no such tasks" in run("list", "--find", "nothing").stderr
    run("list", "--find", "1", "--status", "Error", fails=FindAloneError)


def test_a_task_is_shown_with_its_history(run: Run) -> None:
    told = run("show", "2").stdout
    assert "Invalid [IP]" in told
    assert "handed over" in told
    found = json.loads(run("show", "1", "--json").stdout)
    assert (found["task"]["status"], found["history"][0]["source"]) == ("Not Started", "client")
    run("show", "3", fails=TaskNotFoundError)


def test_a_failed_task_is_tried_again(run: Run) -> None:
    assert "The task 2 is tried again." in run("retry", "2").stderr
    found = json.loads(run("show", "2", "--json").stdout)
    assert (found["task"]["status"], found["history"][0]["source"]) == ("Not Started", "operator")
    run("retry", "1", fails=TaskNotFailedError)


def test_all_that_failed_are_tried_again(run: Run) -> None:
    assert json.loads(run("retry", "--all-failed", "--app", "nobody", "--json").stdout) == []
    assert "1 of 1 tasks: tried again." in run("retry", "--all-failed").stderr
    assert json.loads(run("list", "--status", "Error", "--json").stdout) == []


def test_a_task_is_handed_over_and_taken_back(run: Run) -> None:
    assert "The task 3 has been handed over." in run("add", '{"n": 1}').stderr
    found = json.loads(run("add", '{"n": 1}', "--json").stdout)
    assert (found["id"], found["payload"]) == (4, {"n": 1})
    assert len(json.loads(run("list", "--app", found["app"], "--json").stdout)) == 2
    assert "The task 4 has been cancelled." in run("cancel", "4").stderr
    run("show", "4", fails=TaskNotFoundError)
    run("add", "[1]", fails=UnprocessableError)
    run("add", "--provider", "nobody", fails=UnknownProviderError)


def test_several_are_changed_at_once_and_each_for_itself(run: Run) -> None:
    told = run("retry", "2", "1", "9").stderr
    assert "1 of 3 tasks: tried again." in told
    assert "1: " in told
    found = json.loads(run("cancel", "1", "2", "9", "--json").stdout)
    assert [(each["id"], each["done"]) for each in found] == [(1, True), (2, True), (9, False)]
    assert json.loads(run("list", "--json").stdout) == []
