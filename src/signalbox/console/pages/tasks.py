"""Tasks: how providers stand, what waits for them, and what became of each."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from starlette.responses import Response

from signalbox.console.many import read_many, tell_many
from signalbox.console.page import Page, Route, action
from signalbox.console.timeline import timeline
from signalbox.console.visit import Visit, check
from signalbox.core.errors import UnprocessableError
from signalbox.core.pagination import MAX_LIMIT
from signalbox.core.text import NO_NUL
from signalbox.core.times import parse_span, to_datetime
from signalbox.tasks import overview, service
from signalbox.tasks.intake import read_task
from signalbox.tasks.schemas import STATUSES, TERMINAL, Entry, Status, TaskOut
from signalbox.tasks.store import TaskFilter

ROWS = 50
TRACKED = "-"
"""How the address calls the provider of tasks that are tracked only."""

Word = Annotated[str | None, Field(max_length=200, pattern=NO_NUL)]


class Asked(BaseModel):
    """What stands in the address of the list."""

    status: Status | None = None
    provider: Word = None
    app: Word = None
    since: Literal["1h", "1d", "7d"] | None = None
    find: Word = None
    cursor: Word = None

    def to_filter(self, now: int) -> TaskFilter:
        """The same for the service."""
        provider = "" if self.provider == TRACKED else self.provider
        since = None if self.since is None else now - parse_span(self.since)
        return TaskFilter(self.status, provider, since, self.app)


class NewTaskForm(BaseModel):
    """A task that is handed over by hand."""

    provider: Word = None
    payload: str = "{}"


async def show(visit: Visit) -> Response:
    """The whole page."""
    return visit.render("tasks/index.html", **await _rows(visit), **await _providers(visit), **_form(visit))


async def show_rows(visit: Visit) -> Response:
    """The table alone."""
    return visit.render("tasks/_rows.html", **await _rows(visit))


async def show_providers(visit: Visit) -> Response:
    """How providers stand, alone."""
    return visit.render("tasks/_providers.html", **await _providers(visit))


async def show_task(visit: Visit) -> Response:
    """One task with its history."""
    return visit.render("tasks/task.html", **await _task(visit))


async def show_state(visit: Visit) -> Response:
    """The part of one task that changes."""
    return visit.render("tasks/_task.html", **await _task(visit))


async def retry(visit: Visit) -> Response:
    """Try a task again."""
    tasks, context = visit.services.tasks, visit.services.context
    again = await context.db.write(
        service.retry_task,
        visit.number("task"),
        desk=tasks.desk,
        by=visit.actor,
        source=service.source_of(visit.session.principal),
        journal=tasks.journal,
        now=visit.now,
        request_id=visit.request_id,
    )
    return visit.done(f"Task {again.id} is tried again.", "tasks")


async def cancel(visit: Visit) -> Response:
    """Take a task back."""
    number = visit.number("task")
    await visit.services.context.db.write(
        service.cancel_task,
        number,
        by=visit.actor,
        journal=visit.services.tasks.journal,
        now=visit.now,
        request_id=visit.request_id,
    )
    location = "/tasks" if (await visit.form()).get("shown") == "alone" else None
    return visit.done(f"Task {number} has been cancelled.", "tasks", location=location)


async def change_many(visit: Visit) -> Response:
    """Try the ticked tasks again, or take them back."""
    wanted, tasks = read_many(await visit.form()), visit.services.tasks
    results = await visit.services.context.db.write(
        service.change_tasks,
        wanted.ids,
        action=wanted.action,
        desk=tasks.desk,
        by=visit.session.principal,
        journal=tasks.journal,
        now=visit.now,
        request_id=visit.request_id,
    )
    word = "tried again" if wanted.action == "retry" else "cancelled"
    told, kind = tell_many(results, lambda count: f"{count} of {len(results)} tasks: {word}.")
    return visit.done(told, "tasks", kind=kind)


async def add(visit: Visit) -> Response:
    """Hand a task over."""
    sent = await visit.parse(NewTaskForm)
    tasks = visit.services.tasks
    try:
        made = await visit.services.context.db.write(
            service.add_task,
            read_task(sent.provider, sent.payload),
            desk=tasks.desk,
            by=visit.actor,
            journal=tasks.journal,
            now=visit.now,
            request_id=visit.request_id,
        )
    except UnprocessableError as error:
        errors = {fault.where: fault.message for fault in error.faults}
        return visit.render("tasks/_add.html", status=422, **_form(visit, sent, errors))
    return visit.done(f"Task {made.id} has been handed over.", location=f"/tasks/{made.id}")


async def _rows(visit: Visit) -> dict[str, Any]:
    asked, db = check(Asked, visit.query), visit.services.context.db
    known = {"statuses": STATUSES}
    if asked.find is not None:
        found = await db.read(service.find_task, asked.find.strip())
        return {**known, "tasks": [] if found is None else [found], "next_cursor": None}
    page = await db.read(service.list_tasks, asked.to_filter(visit.now), limit=ROWS, cursor=asked.cursor)
    return {**known, "tasks": page.items, "next_cursor": page.next_cursor}


async def _providers(visit: Visit) -> dict[str, Any]:
    tasks, context = visit.services.tasks, visit.services.context
    found = await context.db.read(
        overview.list_providers, tasks.providers, settings=tasks.settings, budgets=context.budgets, now=visit.now
    )
    limits = {
        each.name: [(one.limit, one.used, int(one.limit.partition("/")[0])) for one in each.limits] for each in found
    }
    return {"providers": found, "limits": limits}


async def _task(visit: Visit) -> dict[str, Any]:
    number, db = visit.number("task"), visit.services.context.db
    task = await db.read(service.show_task, number)
    history = (await db.read(service.show_history, number, limit=MAX_LIMIT)).items
    return {"task": task, "history": history, "stretches": timeline(_points(history), until=_until(visit, task))}


def _points(history: list[Entry]) -> list[tuple[datetime, str]]:
    """When which status began, oldest first; changes that left it as it was are no points."""
    points: list[tuple[datetime, str]] = []
    for each in reversed(history):
        if not points or points[-1][1] != each.status_to:
            points.append((each.at, each.status_to))
    return points


def _until(visit: Visit, task: TaskOut) -> datetime:
    return task.updated_at if task.status in TERMINAL else to_datetime(visit.now)


def _form(visit: Visit, sent: NewTaskForm | None = None, errors: dict[str, str] | None = None) -> dict[str, Any]:
    names = list(visit.services.tasks.providers)
    return {"sent": sent or NewTaskForm(provider=next(iter(names), None)), "errors": errors or {}, "names": names}


PAGE = Page(
    name="tasks",
    path="/tasks",
    title="Tasks",
    icon="tasks",
    routes=(
        Route("/tasks", show),
        Route("/tasks/rows", show_rows),
        Route("/tasks/providers", show_providers),
        action("/tasks", add),
        action("/tasks/actions", change_many),
        Route("/tasks/{number}", show_task),
        Route("/tasks/{number}/state", show_state),
        action("/tasks/{number}/retry", retry),
        action("/tasks/{number}/cancel", cancel),
    ),
)
