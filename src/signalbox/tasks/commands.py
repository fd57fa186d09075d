"""Tasks on the command line."""

from collections.abc import Callable
from typing import Annotated

import msgspec
import typer

from signalbox.auth import terminal
from signalbox.auth.terminal import Json, Listing, Opener, Since, run, to_moment
from signalbox.core.errors import InvalidError
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT
from signalbox.infra.context import Context
from signalbox.tasks import overview, service
from signalbox.tasks.change_commands import add_change_commands
from signalbox.tasks.intake import desk_of, read_task
from signalbox.tasks.journal import Journal
from signalbox.tasks.runtime import TasksRuntime
from signalbox.tasks.schemas import LARGEST_ID, Entry, ProviderOut, Status, TaskOut
from signalbox.tasks.settings import TasksSettings
from signalbox.tasks.store import TaskFilter

Number = Annotated[int, typer.Argument(help="Its id, as `tasks list` shows it.", min=1, max=LARGEST_ID, metavar="ID")]


class FindAloneError(InvalidError):
    """A task was looked for by its id or reference, and by a filter too."""

    code = "find_alone"


def build_commands(open_context: Opener, settings: Callable[[], TasksSettings]) -> typer.Typer:
    """The command group ``tasks``; expected failures are raised as SignalboxError."""
    group = typer.Typer(no_args_is_help=True, help="Tasks that are submitted to third-party APIs and polled.")
    _add_lists(group, open_context)
    _add_providers(group, open_context, settings)
    _add_intake(group, open_context, settings)
    add_change_commands(group, open_context, settings)
    return group


def _add_lists(group: typer.Typer, open_context: Opener) -> None:
    @group.command("list")
    def list_tasks(
        *,
        status: Annotated[Status | None, typer.Option(help="Only in this status.", show_default=False)] = None,
        provider: Annotated[str | None, typer.Option(help="Only of this provider.", show_default=False)] = None,
        app: Annotated[str | None, typer.Option(help="Only of this app.", show_default=False)] = None,
        since: Since = None,
        find: Annotated[
            str | None,
            typer.Option(help="The one with this id or reference, or its provider's id.", show_default=False),
        ] = None,
        limit: Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="How many at most.")] = DEFAULT_LIMIT,
        as_json: Json = False,
    ) -> None:
        """List tasks, highest id first; with --since those that have changed since."""
        wanted = TaskFilter(status, provider, to_moment(since), app)
        if find is not None and wanted != TaskFilter():
            msg = "--find looks for one task among all; leave the other filters out"
            raise FindAloneError(msg)

        async def work(context: Context) -> list[TaskOut]:
            if find is not None:
                one = await context.db.read(service.find_task, find.strip())
                return [] if one is None else [one]
            page = await context.db.read(service.list_tasks, wanted, limit=limit)
            return page.items

        found = run(open_context, work)
        if as_json:
            terminal.print_json(msgspec.to_builtins(found))
        else:
            terminal.print_listing(_listing(found))

    @group.command()
    def show(task: Number, *, as_json: Json = False) -> None:
        """Show a task and what changed of it."""

        async def work(context: Context) -> tuple[TaskOut, list[Entry]]:
            found = await context.db.read(service.show_task, task)
            page = await context.db.read(service.show_history, task, limit=MAX_LIMIT)
            return found, page.items

        found, entries = run(open_context, work)
        if as_json:
            terminal.print_json(msgspec.to_builtins({"task": found, "history": entries}))
            return
        rows = [(name, str(value)) for name, value in msgspec.to_builtins(found).items() if value is not None]
        terminal.print_listing(Listing(["Task", str(found.id)], rows[1:], ""))
        terminal.print_listing(
            Listing(["At", "Status", "Source", "Detail"], [_entry_row(each) for each in entries], "")
        )


def _add_intake(group: typer.Typer, open_context: Opener, settings: Callable[[], TasksSettings]) -> None:
    @group.command()
    def add(
        payload: Annotated[str, typer.Argument(help="A JSON object, as the provider takes it.")] = "{}",
        *,
        provider: Annotated[
            str | None, typer.Option(help="Who it is submitted to; none: tracked only.", show_default=False)
        ] = None,
        as_json: Json = False,
    ) -> None:
        """Hand over a task."""
        new = read_task(provider, payload)

        async def work(context: Context) -> TaskOut:
            return await context.db.write(
                service.add_task,
                new,
                desk=desk_of(settings()),
                by=terminal.actor(),
                journal=Journal(context.broadcast),
                now=context.clock.now(),
            )

        made = run(open_context, work)
        if as_json:
            terminal.print_json(msgspec.to_builtins(made))
        terminal.say(f"The task {made.id} has been handed over.")


def _add_providers(group: typer.Typer, open_context: Opener, settings: Callable[[], TasksSettings]) -> None:
    @group.command("providers")
    def list_providers(*, as_json: Json = False) -> None:
        """Show how providers stand: what waits, what they have, their budgets, pauses and last polls."""

        async def work(context: Context) -> list[ProviderOut]:
            tasks = TasksRuntime(context, settings())
            return await context.db.read(
                overview.list_providers,
                tasks.providers,
                settings=tasks.settings,
                budgets=context.budgets,
                now=context.clock.now(),
            )

        found = run(open_context, work)
        if as_json:
            terminal.print_json([each.model_dump(mode="json") for each in found])
        else:
            terminal.print_listing(_provider_listing(found))


def _listing(found: list[TaskOut]) -> Listing:
    rows = [
        (
            str(task.id),
            task.provider or "-",
            task.status,
            str(task.attempts),
            terminal.show_second(task.updated_at),
            task.validation_error or task.flagged or "",
        )
        for task in found
    ]
    return Listing(["Id", "Provider", "Status", "Attempts", "Changed", "Error"], rows, "There are no such tasks.")


def _entry_row(of: Entry) -> tuple[str, ...]:
    return terminal.show_second(of.at), of.status_to, of.source, of.detail or ""


def _provider_listing(found: list[ProviderOut]) -> Listing:
    rows = [
        (
            each.name + (" (default)" if each.is_default else ""),
            each.host,
            str(each.queued),
            str(each.submitting),
            str(each.in_flight),
            ", ".join(f"{one.used} of {one.limit}" for one in each.limits),
            terminal.show_second(each.paused_until),
            _poll(each),
        )
        for each in found
    ]
    headings = ["Provider", "Host", "Queued", "Submitting", "In flight", "Budget used", "Paused until", "Last poll"]
    return Listing(headings, rows, "The settings name no providers; see [[tasks.providers]].")


def _poll(of: ProviderOut) -> str:
    if of.last_poll is None:
        return ""
    return f"{terminal.show_second(of.last_poll.at)}: {of.last_poll.error or f'{of.last_poll.changed} changed'}"
