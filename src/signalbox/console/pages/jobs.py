"""Jobs: how much waits of each kind, what failed for good, and what is enqueued again and again."""

import re
from datetime import datetime
from typing import Annotated, Any, get_args

from pydantic import BaseModel, Field
from starlette.responses import Response

from signalbox.console.formats import seconds
from signalbox.console.many import read_many, tell_many
from signalbox.console.page import Page, Route, action
from signalbox.console.timeline import timeline
from signalbox.console.visit import Visit, check
from signalbox.core.text import NO_NUL
from signalbox.core.times import MICROSECONDS, to_datetime
from signalbox.infra.jobs import JobNotFoundError, State
from signalbox.ops import background, schedules
from signalbox.ops.background import JobOut
from signalbox.ops.kind_names import readable

ROWS = 50
AT_ONCE = 1_000
"""Dead jobs that one click runs again; the next click takes the next."""

STATES: tuple[State, ...] = get_args(State)

Word = Annotated[str | None, Field(max_length=200, pattern=NO_NUL)]


class Asked(BaseModel):
    """What stands in the address of the list."""

    state: State | None = None
    kind: Word = None
    find: Annotated[int | None, Field(ge=1, le=2**63 - 1)] = None
    cursor: Word = None


class Dead(BaseModel):
    """Which dead jobs are meant."""

    kind: Word = None


async def show(visit: Visit) -> Response:
    """The whole page."""
    return visit.render("jobs/index.html", **await _rows(visit), **await _kinds(visit))


async def show_rows(visit: Visit) -> Response:
    """The table alone."""
    return visit.render("jobs/_rows.html", **await _rows(visit))


async def show_kinds(visit: Visit) -> Response:
    """How much there is of each kind, alone."""
    return visit.render("jobs/_kinds.html", **await _kinds(visit))


async def show_schedules(visit: Visit) -> Response:
    """What is enqueued again and again; htmx gets the table alone."""
    found = await visit.services.context.db.read(schedules.list_schedules)
    return visit.render(
        "jobs/_schedules.html" if visit.is_fragment else "jobs/schedules.html",
        schedules=found,
        rules={each.name: to_words(each.rule) for each in found},
    )


async def show_job(visit: Visit) -> Response:
    """One job."""
    return visit.render("jobs/job.html", **await _job(visit))


async def show_state(visit: Visit) -> Response:
    """The part of one job that changes."""
    return visit.render("jobs/_job.html", **await _job(visit))


async def retry(visit: Visit) -> Response:
    """Run a job again."""
    made = await visit.services.context.db.write(
        background.retry_job, visit.number("job"), actor=visit.actor, now=visit.now, request_id=visit.request_id
    )
    return visit.done(f"Job {made.id} runs again.", "jobs", "tick")


async def cancel(visit: Visit) -> Response:
    """End a job."""
    made = await visit.services.context.db.write(
        background.cancel_job, visit.number("job"), actor=visit.actor, now=visit.now, request_id=visit.request_id
    )
    told = "is cancelled" if made.state == "cancelled" else "is told to stop"
    return visit.done(f"Job {made.id} {told}.", "jobs", "tick")


async def change_many(visit: Visit) -> Response:
    """Run the ticked jobs again, or end them."""
    wanted = read_many(await visit.form())
    results = await visit.services.context.db.write(
        background.change_jobs,
        wanted.ids,
        action=wanted.action,
        actor=visit.actor,
        now=visit.now,
        request_id=visit.request_id,
    )
    word = "run again" if wanted.action == "retry" else "cancelled or told to stop"
    told, kind = tell_many(results, lambda count: f"{count} of {len(results)} jobs: {word}.")
    return visit.done(told, "jobs", "tick", kind=kind)


async def retry_dead(visit: Visit) -> Response:
    """Run what failed for good again: all of a kind, or all."""
    wanted = await visit.parse(Dead)
    count = await visit.services.context.db.write(
        background.retry_jobs,
        state="dead",
        kind=wanted.kind,
        limit=AT_ONCE,
        actor=visit.actor,
        now=visit.now,
        request_id=visit.request_id,
    )
    if not count:
        return visit.done("No job is dead any more.", "jobs", "tick", kind="warning")
    more = "; press again for more" if count == AT_ONCE else ""
    return visit.done(f"{count:,} dead {'job runs' if count == 1 else 'jobs run'} again{more}.", "jobs", "tick")


async def run_schedule(visit: Visit) -> Response:
    """Enqueue the job of a schedule now."""
    made = await visit.services.context.db.write(
        schedules.run_now, visit.path["name"], actor=visit.actor, now=visit.now, request_id=visit.request_id
    )
    return visit.done(f"Job {made.id} ({readable(made.kind)}) waits to be run.", "jobs", "tick")


async def pause_schedule(visit: Visit) -> Response:
    """Let the moments of a schedule pass."""
    made = await visit.services.context.db.write(
        schedules.pause, visit.path["name"], actor=visit.actor, now=visit.now, request_id=visit.request_id
    )
    return visit.done(f"{made.name} is paused.", "tick")


async def resume_schedule(visit: Visit) -> Response:
    """Let a schedule go on."""
    made = await visit.services.context.db.write(
        schedules.resume, visit.path["name"], actor=visit.actor, now=visit.now, request_id=visit.request_id
    )
    return visit.done(f"{made.name} goes on.", "tick")


async def _rows(visit: Visit) -> dict[str, Any]:
    asked, db = check(Asked, visit.query), visit.services.context.db
    known = {"states": STATES, "names": [(each, readable(each)) for each in visit.services.kinds]}
    if asked.find is not None:
        return {**known, "jobs": await _find(visit, asked.find), "next_cursor": None}
    page = await db.read(background.list_jobs, state=asked.state, kind=asked.kind, limit=ROWS, cursor=asked.cursor)
    return {**known, "jobs": page.items, "next_cursor": page.next_cursor}


async def _find(visit: Visit, number: int) -> list[JobOut]:
    try:
        return [await visit.services.context.db.read(background.show_job, number)]
    except JobNotFoundError:
        return []


async def _kinds(visit: Visit) -> dict[str, Any]:
    found = await visit.services.context.db.read(background.summarize_jobs, now=visit.now)
    most = max((each.waiting + each.running + each.dead for each in found), default=0)
    return {"kinds": found, "most": most, "dead": sum(each.dead for each in found)}


async def _job(visit: Visit) -> dict[str, Any]:
    job = await visit.services.context.db.read(background.show_job, visit.number("job"))
    until = job.ended_at or to_datetime(visit.now)
    return {"job": job, "stretches": timeline(_points(job), until=until)}


def _points(job: JobOut) -> list[tuple[datetime, str]]:
    """When it was made, when its last attempt began, how that ended; a retry lies between where it is not said."""
    points: list[tuple[datetime, str]] = [(job.created_at, "waiting")]
    if job.started_at is not None and job.started_at >= job.created_at:
        points.append((job.started_at, "running"))
    if job.ended_at is not None:
        points.append((job.ended_at, job.state))
    return points


def to_words(rule: str) -> str:
    """A rule of a schedule as people say it: ``every 5 min`` of ``every 300000000+7``; cron as it is, with its zone."""
    found = re.fullmatch(r"every (\d+)(\+\d+)?", rule)
    if found is None:
        return f"{rule} UTC"
    span = int(found[1]) / MICROSECONDS
    return f"every {span:g} s" if span <= 60 else f"every {seconds(span)}"  # noqa: PLR2004 - a minute


PAGE = Page(
    name="jobs",
    path="/jobs",
    title="Jobs",
    icon="jobs",
    routes=(
        Route("/jobs", show),
        Route("/jobs/rows", show_rows),
        Route("/jobs/kinds", show_kinds),
        Route("/jobs/schedules", show_schedules),
        action("/jobs/schedules/{name}/run", run_schedule),
        action("/jobs/schedules/{name}/pause", pause_schedule),
        action("/jobs/schedules/{name}/resume", resume_schedule),
        action("/jobs/actions", change_many),
        action("/jobs/retry", retry_dead),
        Route("/jobs/{number}", show_job),
        Route("/jobs/{number}/state", show_state),
        action("/jobs/{number}/retry", retry),
        action("/jobs/{number}/cancel", cancel),
    ),
)
