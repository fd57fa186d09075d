"""``signalbox tasks retry`` and ``cancel``: one task, several, or all that a filter finds."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final

import msgspec
import typer
from sqlalchemy import Connection

from signalbox.auth import terminal
from signalbox.auth.terminal import Json, Opener, run
from signalbox.core.errors import InvalidError
from signalbox.infra.context import Context
from signalbox.ops.many import MOST, ManyOut, change_each
from signalbox.tasks import service
from signalbox.tasks.intake import desk_of
from signalbox.tasks.journal import Journal
from signalbox.tasks.schemas import LARGEST_ID, TaskOut
from signalbox.tasks.settings import TasksSettings
from signalbox.tasks.store import TaskFilter

Change = Callable[[Connection, int], object]
"""What is done with one task."""

Numbers = Annotated[
    list[int] | None,
    typer.Argument(help="Ids, as `tasks list` shows them.", min=1, max=LARGEST_ID, metavar="ID...", show_default=False),
]
Provider = Annotated[str | None, typer.Option(help="Of all, only those of this provider.", show_default=False)]
App = Annotated[str | None, typer.Option(help="Of all, only those of this app.", show_default=False)]

_TOLD: Final = 20
"""Refusals that people are told one by one."""


class WhichTasksError(InvalidError):
    """It was not said which tasks are meant."""

    code = "which_tasks"


def add_change_commands(group: typer.Typer, open_context: Opener, settings: Callable[[], TasksSettings]) -> None:
    """Add the commands to their group."""
    _add_retry(group, open_context, settings)
    _add_cancel(group, open_context)


def _add_retry(group: typer.Typer, open_context: Opener, settings: Callable[[], TasksSettings]) -> None:
    @group.command()
    def retry(
        tasks: Numbers = None,
        *,
        all_failed: Annotated[bool, typer.Option("--all-failed", help="All that have failed.")] = False,
        provider: Provider = None,
        app: App = None,
        as_json: Json = False,
    ) -> None:
        """Submit a failed task again from the start, or one that waits for its next attempt now."""
        _check(tasks, "--all-failed", given=all_failed, filtered=provider is not None or app is not None)

        def change(context: Context) -> Callable[..., TaskOut]:
            return partial(service.retry_task, desk=desk_of(settings()), source="operator", **_hand(context))

        if tasks is None or len(tasks) > 1:
            wanted = tasks or TaskFilter("Error", provider, app=app)
            found = run(open_context, lambda context: _change_many(context, change(context), wanted))
            _tell_many(found, "tried again", as_json=as_json)
            return
        again = run(open_context, lambda context: context.db.write(change(context), tasks[0]))
        if as_json:
            terminal.print_json(msgspec.to_builtins(again))
        terminal.say(f"The task {again.id} is tried again.")


def _add_cancel(group: typer.Typer, open_context: Opener) -> None:
    @group.command()
    def cancel(
        tasks: Numbers = None,
        *,
        all_waiting: Annotated[
            bool, typer.Option("--all-waiting", help="All that wait to be submitted to a provider.")
        ] = False,
        provider: Provider = None,
        app: App = None,
        as_json: Json = False,
    ) -> None:
        """Take a task back that has not been submitted; it is gone."""
        _check(tasks, "--all-waiting", given=all_waiting, filtered=provider is not None or app is not None)

        def change(context: Context) -> Callable[..., None]:
            return partial(service.cancel_task, **_hand(context))

        if tasks is None or len(tasks) > 1:
            wanted = tasks or TaskFilter("Not Started", provider, app=app)
            found = run(open_context, lambda context: _change_many(context, change(context), wanted, tracked=False))
            _tell_many(found, "cancelled", as_json=as_json)
            return
        run(open_context, lambda context: context.db.write(change(context), tasks[0]))
        if as_json:
            terminal.print_json({"cancelled": tasks[0]})
        terminal.say(f"The task {tasks[0]} has been cancelled.")


def _check(tasks: list[int] | None, option: str, *, given: bool, filtered: bool) -> None:
    if (not tasks) != given or (filtered and not given):
        msg = f"say which: ids, or {option}, with --provider NAME or --app NAME for a part of them"
        raise WhichTasksError(msg)


async def _change_many(
    context: Context, change: Change, wanted: list[int] | TaskFilter, *, tracked: bool = True
) -> list[ManyOut]:
    """Change these tasks in one transaction, or all that are found, see ``_change_all``."""
    if isinstance(wanted, TaskFilter):
        return await _change_all(context, change, wanted, tracked=tracked)
    return await context.db.write(change_each, wanted, change)


async def _change_all(context: Context, change: Change, wanted: TaskFilter, *, tracked: bool = True) -> list[ManyOut]:
    """Change all tasks that are found, in short transactions; what became of each.

    Without ``tracked``, those that have no provider are left as they are.
    """
    results: list[ManyOut] = []
    cursor: str | None = None
    while True:
        page = await context.db.read(service.list_tasks, wanted, limit=MOST, cursor=cursor)
        ids = [task.id for task in page.items if tracked or task.provider is not None]
        if ids:
            results += await context.db.write(change_each, ids, change)
        if page.next_cursor is None:
            return results
        cursor = page.next_cursor


def _hand(context: Context) -> dict[str, Any]:
    return {"by": terminal.actor(), "journal": Journal(context.broadcast), "now": context.clock.now()}


def _tell_many(found: list[ManyOut], what: str, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json([each.model_dump() for each in found])
    refused = [each for each in found if not each.done]
    terminal.say(f"{len(found) - len(refused):,} of {len(found):,} tasks: {what}.")
    for each in refused[:_TOLD]:
        terminal.say(f"{each.id}: {each.detail}")
