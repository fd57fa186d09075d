"""Schedules of reports and threshold rules on the command line."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from signalbox.auth import terminal
from signalbox.auth.terminal import Json, Listing, Opener, run
from signalbox.core.pagination import MAX_LIMIT
from signalbox.grid import report_schedules, rules
from signalbox.grid.changes import make
from signalbox.grid.schemas import ScheduleIn, ScheduleOut, ThresholdRuleIn, ThresholdRuleOut
from signalbox.grid.settings import GridSettings
from signalbox.infra.context import Context

Number = Annotated[int, typer.Argument(help="Its id.", metavar="ID")]
Name = Annotated[str, typer.Argument(help="What it is called.", metavar="NAME")]


def build_schedules(open_context: Opener, settings: Callable[[], GridSettings]) -> typer.Typer:
    """The group ``grid schedules``."""
    group = typer.Typer(no_args_is_help=True, help="Reports that are made again and again.")

    @group.command("list")
    def list_schedules(*, as_json: Json = False) -> None:
        """List schedules, newest first."""

        async def work(context: Context) -> list[ScheduleOut]:
            return (await context.db.read(report_schedules.list_schedules, limit=MAX_LIMIT)).items

        found = run(open_context, work)
        if as_json:
            terminal.print_json([each.model_dump(mode="json") for each in found])
        else:
            terminal.print_listing(_schedule_listing(found))

    @group.command("add")
    def add(
        name: Name,
        *,
        every: Annotated[str, typer.Option(help="day, week or month.")] = "day",
        timezone: Annotated[str, typer.Option(help="Of which zone the periods are.")] = "UTC",
        delay: Annotated[int, typer.Option(help="Minutes from a period's end to its report.")] = 0,
        as_json: Json = False,
    ) -> None:
        """Have a report made of each day, week or month once it has ended."""
        new = make(ScheduleIn, {"name": name, "every": every, "timezone": timezone, "delay_minutes": delay})

        async def work(context: Context) -> ScheduleOut:
            hand, limit = _hand(context), settings().max_schedules
            return await context.db.write(report_schedules.add, new, limit=limit, **hand)

        made = run(open_context, work)
        if as_json:
            terminal.print_json(made.model_dump(mode="json"))
        terminal.say(f"Schedule {made.id}: its first report will be made {made.next_report_at:%Y-%m-%d %H:%M} UTC.")

    @group.command("pause")
    def pause(number: Number, *, as_json: Json = False) -> None:
        """Make no reports of a schedule until it is resumed."""
        _pause(open_context, number, paused=True, as_json=as_json)

    @group.command("resume")
    def resume(number: Number, *, as_json: Json = False) -> None:
        """Let a schedule go on with the period that runs now."""
        _pause(open_context, number, paused=False, as_json=as_json)

    @group.command("remove")
    def remove(number: Number) -> None:
        """Remove a schedule; its reports stay."""
        run(open_context, lambda context: context.db.write(report_schedules.delete, number, **_hand(context)))
        terminal.say(f"Schedule {number} is removed.")

    return group


def _pause(open_context: Opener, number: int, *, paused: bool, as_json: bool) -> None:
    async def work(context: Context) -> ScheduleOut:
        return await context.db.write(report_schedules.change, number, {"paused": paused}, **_hand(context))

    changed = run(open_context, work)
    if as_json:
        terminal.print_json(changed.model_dump(mode="json"))
    terminal.say(f"Schedule {number} ({changed.name}) {'is paused' if paused else 'goes on'}.")


def build_rules(open_context: Opener, settings: Callable[[], GridSettings]) -> typer.Typer:
    """The group ``grid rules``."""
    group = typer.Typer(no_args_is_help=True, help="Bounds that readings should keep to.")

    @group.command("list")
    def list_rules(*, as_json: Json = False) -> None:
        """List threshold rules, newest first."""

        async def work(context: Context) -> list[ThresholdRuleOut]:
            return (await context.db.read(rules.list_rules, limit=MAX_LIMIT)).items

        found = run(open_context, work)
        if as_json:
            terminal.print_json([each.model_dump(mode="json") for each in found])
        else:
            terminal.print_listing(_rule_listing(found))

    @group.command("add")
    def add(
        name: Name,
        condition: Annotated[str, typer.Argument(help="Such as 'POWER > 55 for 3 readings'.", metavar="CONDITION")],
        *,
        clear: Annotated[float | None, typer.Option(help="Where it is well again; unset: at the bound.")] = None,
        component: Annotated[int | None, typer.Option(help="Only this component, by its id.")] = None,
        kind: Annotated[str | None, typer.Option(help="Only components of this type, such as LINE.")] = None,
        severity: Annotated[str, typer.Option(help="info, warning or error.")] = "warning",
        as_json: Json = False,
    ) -> None:
        """Tell of readings beyond a bound: events grid.threshold and grid.threshold_cleared, once for each crossing."""
        given = {**rules.parse_condition(condition), "name": name, "clear": clear, "severity": severity}
        new = make(ThresholdRuleIn, {**given, "component_id": component, "component_type": kind})

        async def work(context: Context) -> ThresholdRuleOut:
            return await context.db.write(rules.add, new, limit=settings().max_rules, **_hand(context))

        made = run(open_context, work)
        if as_json:
            terminal.print_json(made.model_dump(mode="json"))
        terminal.say(f"Rule {made.id}: {made.condition}, well again at {made.clear:g}.")

    @group.command("remove")
    def remove(number: Number) -> None:
        """Remove a threshold rule; what it raised is cleared."""
        run(open_context, lambda context: context.db.write(rules.delete, number, **_hand(context)))
        terminal.say(f"Rule {number} is removed.")

    return group


def _hand(context: Context) -> dict[str, Any]:
    return {"by": terminal.actor(), "now": context.clock.now()}


def _schedule_listing(found: list[ScheduleOut]) -> Listing:
    rows = [
        (
            str(each.id),
            each.name,
            each.every,
            each.timezone,
            "paused" if each.next_report_at is None else f"{each.next_report_at:%Y-%m-%d %H:%M} UTC",
            str(each.last_report_id or ""),
        )
        for each in found
    ]
    hint = "There are no schedules yet. Add one: signalbox grid schedules add NAME --every week"
    return Listing(["Id", "Name", "Every", "Time zone", "Next report", "Last report"], rows, hint)


def _rule_listing(found: list[ThresholdRuleOut]) -> Listing:
    rows = [
        (
            str(each.id),
            each.name,
            each.condition,
            f"{each.clear:g}",
            f"component {each.component_id}" if each.component_id else each.component_type or "all",
            each.severity,
            str(each.raised),
        )
        for each in found
    ]
    hint = "There are no threshold rules yet. Add one: signalbox grid rules add NAME 'POWER > 55 for 3 readings'"
    return Listing(["Id", "Name", "Condition", "Clear", "For", "Severity", "Raised"], rows, hint)
