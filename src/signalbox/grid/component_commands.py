"""Components and what they measure on the command line, one by one; ``commands.py`` takes whole files of them."""

from typing import Annotated, Any

import msgspec
import typer

from signalbox.auth import terminal
from signalbox.auth.terminal import Json, Listing, Opener, Since, Until, run, to_moment
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT
from signalbox.grid import components, overview, readings
from signalbox.grid.kinds import check
from signalbox.grid.overview import ComponentView
from signalbox.grid.readings import Wanted
from signalbox.grid.schemas import ComponentOut, ReadingOut
from signalbox.grid.series import LARGEST_ID, MeasurementType
from signalbox.grid.store import ComponentFilter
from signalbox.infra.context import Context

Number = Annotated[int, typer.Argument(help="Its id.", min=1, max=LARGEST_ID, metavar="ID")]
Limit = Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="How many at most.")]


def build_components(open_context: Opener) -> typer.Typer:
    """The group ``grid components``."""
    group = typer.Typer(no_args_is_help=True, help="Lines, switches, transformers, one by one.")
    _add_looks(group, open_context)
    _add_changes(group, open_context)
    return group


def add_readings(group: typer.Typer, open_context: Opener) -> None:
    """Add ``grid readings`` to its group."""

    @group.command("readings")
    def list_readings(
        component: Number,
        *,
        kind: Annotated[MeasurementType | None, typer.Option("--type", help="Only of this type.")] = None,
        since: Since = None,
        until: Until = None,
        limit: Limit = DEFAULT_LIMIT,
        as_json: Json = False,
    ) -> None:
        """List what a component measured, newest first."""
        wanted = Wanted(component, kind, to_moment(since), to_moment(until))

        async def work(context: Context) -> list[ReadingOut]:
            await context.db.read(components.show, component)
            return (await context.db.read(readings.list_readings, wanted, limit=limit)).items

        found = run(open_context, work)
        if as_json:
            terminal.print_json(msgspec.to_builtins(found))
        else:
            terminal.print_listing(_reading_listing(found))


def _add_looks(group: typer.Typer, open_context: Opener) -> None:
    @group.command("list")
    def list_components(
        *,
        substation: Annotated[str | None, typer.Option(help="Only of this substation.", show_default=False)] = None,
        kind: Annotated[str | None, typer.Option(help="Only of this type, such as LINE.", show_default=False)] = None,
        name: Annotated[str | None, typer.Option(help="Part of the name.", show_default=False)] = None,
        limit: Limit = DEFAULT_LIMIT,
        as_json: Json = False,
    ) -> None:
        """List components, highest id first."""
        wanted = ComponentFilter(kind, substation, name)

        async def work(context: Context) -> list[ComponentOut]:
            return (await context.db.read(components.list_components, wanted, limit=limit)).items

        found = run(open_context, work)
        if as_json:
            terminal.print_json([each.model_dump(mode="json") for each in found])
            return
        rows = [(str(each.id), each.substation, each.name, each.component_type) for each in found]
        hint = "There are no such components. Add one: signalbox grid components add KIND NAME SUBSTATION"
        terminal.print_listing(Listing(["Id", "Substation", "Name", "Type"], rows, hint))

    @group.command()
    def show(component: Number, *, as_json: Json = False) -> None:
        """Show a component, its newest readings, and the bounds that it is beyond."""

        async def work(context: Context) -> ComponentView:
            return await context.db.read(overview.show_component, component)

        found = run(open_context, work)
        shown = found.component.model_dump(mode="json")
        if as_json:
            crossings = [each.model_dump(mode="json") for each in found.crossings]
            terminal.print_json({**shown, "newest": msgspec.to_builtins(found.newest), "crossings": crossings})
            return
        rows = [(name, str(value)) for name, value in shown.items() if value is not None]
        terminal.print_listing(Listing(["Component", str(component)], rows[1:], ""))
        terminal.print_listing(_reading_listing(found.newest))
        for each in found.crossings:
            terminal.say(f"Beyond the bound of rule {each.rule_id} since {terminal.show_second(each.since)}.")


def _add_changes(group: typer.Typer, open_context: Opener) -> None:
    @group.command()
    def add(
        kind: Annotated[str, typer.Argument(help="Its type, such as LINE.", metavar="KIND")],
        name: Annotated[str, typer.Argument(help="Unique in its substation.", metavar="NAME")],
        substation: Annotated[str, typer.Argument(help="Where it is.", metavar="SUBSTATION")],
        fields: Annotated[list[str] | None, typer.Argument(help="Such as length_km=12.", metavar="FIELD=VALUE")] = None,
        *,
        as_json: Json = False,
    ) -> None:
        """Add a component; what fields its type has is told where one is missing."""
        new = check({"component_type": kind, "name": name, "substation": substation, **terminal.to_pairs(fields)})

        async def work(context: Context) -> ComponentOut:
            return await context.db.write(components.add, new, by=terminal.actor(), now=context.clock.now())

        _tell(run(open_context, work), "is added", as_json=as_json)

    @group.command()
    def change(
        component: Number,
        fields: Annotated[
            list[str], typer.Argument(help="Such as voltage_kv=110; 'x=' clears x.", metavar="FIELD=VALUE")
        ],
        *,
        as_json: Json = False,
    ) -> None:
        """Change fields of a component; what is not named stays as it is."""
        given: dict[str, Any] = {field: value or None for field, value in terminal.to_pairs(fields).items()}

        async def work(context: Context) -> ComponentOut:
            actor, now = terminal.actor(), context.clock.now()
            return await context.db.write(components.change, component, given, by=actor, now=now)

        _tell(run(open_context, work), "is changed", as_json=as_json)

    @group.command()
    def remove(component: Number) -> None:
        """Remove a component with its readings; finished reports stay as they are."""

        async def work(context: Context) -> None:
            await context.db.write(components.delete, component, by=terminal.actor(), now=context.clock.now())

        run(open_context, work)
        terminal.say(f"Component {component} is removed.")


def _tell(of: ComponentOut, what: str, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(of.model_dump(mode="json"))
    terminal.say(f"Component {of.id} ({of.name} in {of.substation}) {what}.")


def _reading_listing(found: list[ReadingOut]) -> Listing:
    rows = [(each.measurement_type, terminal.show_second(each.timestamp), f"{each.value:g}") for each in found]
    return Listing(["Type", "At", "Value"], rows, "It has measured no such thing.")
