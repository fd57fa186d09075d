"""Background jobs on the command line."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

import typer

from signalbox.auth import terminal
from signalbox.auth.terminal import Json, Listing, Opener, run
from signalbox.core.errors import InvalidError
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT
from signalbox.infra.context import Context
from signalbox.infra.jobs import State
from signalbox.ops import background, schedules
from signalbox.ops.background import JobOut, JobsOfKind
from signalbox.ops.kind_names import readable
from signalbox.ops.many import MOST, ManyOut
from signalbox.ops.schedules import ScheduleOut

Number = Annotated[int, typer.Argument(help="Its id, as `jobs list` shows it.", min=1, max=2**63 - 1, metavar="ID")]
Numbers = Annotated[
    list[int] | None,
    typer.Argument(help="Ids, as `jobs list` shows them.", min=1, max=2**63 - 1, metavar="ID...", show_default=False),
]
KindOption = Annotated[str | None, typer.Option(help="Only of this kind, such as tasks.submit.", show_default=False)]
ScheduleName = Annotated[str, typer.Argument(help="As `jobs schedules` shows it.", metavar="NAME")]

AT_ONCE = 1_000
"""Jobs that are run again in one transaction."""


class WhichJobsError(InvalidError):
    """It was not said which jobs are meant."""

    code = "which_jobs"


def build_commands(open_context: Opener) -> typer.Typer:
    """The command group ``jobs``; expected failures are raised as SignalboxError."""
    group = typer.Typer(no_args_is_help=True, help="Work that the hub does in the background.")
    _add_lists(group, open_context)
    _add_retry(group, open_context)
    _add_cancel(group, open_context)
    _add_schedules(group, open_context)
    return group


def _add_lists(group: typer.Typer, open_context: Opener) -> None:
    @group.command("list")
    def list_jobs(
        *,
        state: Annotated[State | None, typer.Option(help="Only in this state.", show_default=False)] = None,
        kind: KindOption = None,
        limit: Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="How many at most.")] = DEFAULT_LIMIT,
        as_json: Json = False,
    ) -> None:
        """List jobs, newest first."""

        async def work(context: Context) -> list[JobOut]:
            page = await context.db.read(background.list_jobs, state=state, kind=kind, limit=limit)
            return page.items

        found = run(open_context, work)
        if as_json:
            terminal.print_json([job.model_dump(mode="json") for job in found])
        else:
            terminal.print_listing(_listing(found))

    @group.command("kinds")
    def list_kinds(*, as_json: Json = False) -> None:
        """Show how much waits, runs and is dead of each kind."""

        async def work(context: Context) -> list[JobsOfKind]:
            return await context.db.read(background.summarize_jobs, now=context.clock.now())

        found = run(open_context, work)
        if as_json:
            terminal.print_json([each.model_dump(mode="json") for each in found])
        else:
            terminal.print_listing(_kind_listing(found))

    @group.command()
    def show(job: Number, *, as_json: Json = False) -> None:
        """Show all that is known of a job."""

        async def work(context: Context) -> JobOut:
            return await context.db.read(background.show_job, job)

        _print_job(run(open_context, work), as_json=as_json)


def _add_retry(group: typer.Typer, open_context: Opener) -> None:
    @group.command()
    def retry(
        jobs: Numbers = None,
        *,
        all_dead: Annotated[bool, typer.Option("--all-dead", help="All that are dead.")] = False,
        kind: KindOption = None,
        as_json: Json = False,
    ) -> None:
        """Run a dead or cancelled job again from the start, or a waiting one now."""
        if (not jobs) != all_dead or (kind is not None and not all_dead):
            msg = "say which: signalbox jobs retry ID, or jobs retry --all-dead, with --kind KIND for those of one kind"
            raise WhichJobsError(msg)
        if not jobs:
            _tell_count(run(open_context, lambda context: _retry_all(context, kind)), as_json=as_json)
            return
        if len(jobs) > 1:
            _tell_many(run(open_context, _change_many(jobs, "retry")), "run again", as_json=as_json)
            return
        number = jobs[0]

        async def work(context: Context) -> JobOut:
            actor, now = terminal.actor(), context.clock.now()
            return await context.db.write(background.retry_job, number, actor=actor, now=now)

        _tell_job(run(open_context, work), "runs again", as_json=as_json)


def _add_cancel(group: typer.Typer, open_context: Opener) -> None:
    @group.command()
    def cancel(
        jobs: Numbers = None,
        *,
        all_waiting: Annotated[bool, typer.Option("--all-waiting", help="All of a kind that wait.")] = False,
        kind: KindOption = None,
        as_json: Json = False,
    ) -> None:
        """End a waiting job at once, a running one within seconds."""
        if (not jobs) != all_waiting or (kind is None) == all_waiting:
            msg = "say which: signalbox jobs cancel ID, or jobs cancel --all-waiting --kind KIND"
            raise WhichJobsError(msg)
        if not jobs:
            count = run(open_context, lambda context: _cancel_all(context, kind))
            if as_json:
                terminal.print_json({"cancelled": count})
            terminal.say(f"{count} jobs are cancelled." if count != 1 else "1 job is cancelled.")
            return
        if len(jobs) > 1:
            _tell_many(run(open_context, _change_many(jobs, "cancel")), "cancelled or told to stop", as_json=as_json)
            return
        number = jobs[0]

        async def work(context: Context) -> JobOut:
            actor, now = terminal.actor(), context.clock.now()
            return await context.db.write(background.cancel_job, number, actor=actor, now=now)

        ended = run(open_context, work)
        _tell_job(ended, "is cancelled" if ended.state == "cancelled" else "is told to stop", as_json=as_json)


def _add_schedules(group: typer.Typer, open_context: Opener) -> None:
    @group.command("schedules")
    def list_schedules(*, as_json: Json = False) -> None:
        """List what is enqueued again and again."""

        async def work(context: Context) -> list[ScheduleOut]:
            return await context.db.read(schedules.list_schedules)

        found = run(open_context, work)
        if as_json:
            terminal.print_json([each.model_dump(mode="json") for each in found])
        else:
            terminal.print_listing(_schedule_listing(found))

    @group.command("run")
    def run_schedule(name: ScheduleName, *, as_json: Json = False) -> None:
        """Enqueue the job of a schedule now, also while it is paused."""

        async def work(context: Context) -> JobOut:
            actor, now = terminal.actor(), context.clock.now()
            return await context.db.write(schedules.run_now, name, actor=actor, now=now)

        _tell_job(run(open_context, work), "waits to be run", as_json=as_json)

    @group.command()
    def pause(name: ScheduleName, *, as_json: Json = False) -> None:
        """Let the moments of a schedule pass, in all processes, until it is resumed."""

        async def work(context: Context) -> ScheduleOut:
            actor, now = terminal.actor(), context.clock.now()
            return await context.db.write(schedules.pause, name, actor=actor, now=now)

        _tell_schedule(run(open_context, work), "is paused", as_json=as_json)

    @group.command()
    def resume(name: ScheduleName, *, as_json: Json = False) -> None:
        """Let a schedule go on from its next moment."""

        async def work(context: Context) -> ScheduleOut:
            actor, now = terminal.actor(), context.clock.now()
            return await context.db.write(schedules.resume, name, actor=actor, now=now)

        _tell_schedule(run(open_context, work), "goes on", as_json=as_json)


def _change_many(ids: list[int], action: Literal["retry", "cancel"]) -> Callable[[Context], Awaitable[list[ManyOut]]]:
    async def work(context: Context) -> list[ManyOut]:
        actor, now = terminal.actor(), context.clock.now()
        return await context.db.write(background.change_jobs, ids, action=action, actor=actor, now=now)

    return work


async def _retry_all(context: Context, kind: str | None) -> int:
    """All that are dead now; what dies meanwhile is left, or this would go on for ever."""
    total, now = 0, context.clock.now()
    while True:
        count = await context.db.write(
            background.retry_jobs,
            state="dead",
            kind=kind,
            ended_before=now,
            limit=AT_ONCE,
            actor=terminal.actor(),
            now=context.clock.now(),
        )
        total += count
        if count < AT_ONCE:
            return total


async def _cancel_all(context: Context, kind: str | None) -> int:
    """All that wait now, newest first; how many were still waiting when it was their turn."""
    total, cursor = 0, None
    while True:
        page = await context.db.read(background.list_jobs, state="waiting", kind=kind, limit=MOST, cursor=cursor)
        ids = [job.id for job in page.items]
        if ids:
            actor, now = terminal.actor(), context.clock.now()
            ended = await context.db.write(background.change_jobs, ids, action="cancel", actor=actor, now=now)
            total += sum(each.done for each in ended)
        if page.next_cursor is None:
            return total
        cursor = page.next_cursor


def _tell_count(count: int, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json({"retried": count})
    terminal.say(f"{count} jobs run again." if count != 1 else "1 job runs again.")


def _tell_many(found: list[ManyOut], what: str, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json([each.model_dump() for each in found])
    refused = [each for each in found if not each.done]
    terminal.say(f"{len(found) - len(refused):,} of {len(found):,} jobs: {what}.")
    for each in refused:
        terminal.say(f"{each.id}: {each.detail}")


def _tell_job(job: JobOut, what: str, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(job.model_dump(mode="json"))
    terminal.say(f"The job {job.id} ({readable(job.kind)}) {what}.")


def _tell_schedule(schedule: ScheduleOut, what: str, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(schedule.model_dump(mode="json"))
    terminal.say(f"The schedule {schedule.name} {what}.")


def _schedule_listing(found: list[ScheduleOut]) -> Listing:
    rows = [
        (
            each.name,
            readable(each.kind),
            each.rule,
            "paused" if each.paused_at else terminal.show_second(each.next_at),
            terminal.show_second(each.last_at),
        )
        for each in found
    ]
    return Listing(["Name", "Kind", "Rule", "Next", "Last"], rows, "No worker has run a schedule yet.")


def _kind_listing(found: list[JobsOfKind]) -> Listing:
    rows = [
        (
            readable(each.kind),
            str(each.waiting),
            str(each.running),
            str(each.dead),
            terminal.show_second(each.first_due_at),
            f"{each.overdue_seconds:.0f} s" if each.overdue_seconds else "",
        )
        for each in found
    ]
    headings = ["Kind", "Waiting", "Running", "Dead", "First due", "Overdue"]
    return Listing(headings, rows, "No job waits, runs or is dead.")


def _print_job(job: JobOut, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(job.model_dump(mode="json"))
        return
    rows = [(name, str(value)) for name, value in job.model_dump(mode="json").items() if value is not None]
    terminal.print_listing(Listing(["Job", str(job.id)], rows[1:], ""))


def _listing(found: list[JobOut]) -> Listing:
    rows = [
        (
            str(job.id),
            readable(job.kind),
            job.state,
            f"{job.attempts}/{job.max_attempts}",
            terminal.show_second(job.due_at),
            job.error or "",
        )
        for job in found
    ]
    hint = "There are no such jobs. Those that are done are kept for a day: see [retention] in the settings."
    return Listing(["Id", "Kind", "State", "Attempts", "Due", "Error"], rows, hint)
