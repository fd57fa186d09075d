"""``signalbox calls``: the calls that went through the gateway, out of the database."""

from datetime import datetime
from typing import Annotated

import typer

from signalbox.auth import terminal
from signalbox.auth.terminal import Json, Listing, Opener, Since, Until, run, to_moment
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT
from signalbox.gateway import heatmap, service
from signalbox.gateway.schemas import CallOut, Dimension, Filters, Heatmap, Step, Summary, Totals
from signalbox.infra.context import Context

Upstream = Annotated[str | None, typer.Option(help="Only of this upstream.", show_default=False)]
Route = Annotated[str | None, typer.Option(help="Only of this path template.", show_default=False)]
Method = Annotated[str | None, typer.Option(help="Only with this method.", show_default=False)]
Status = Annotated[str | None, typer.Option(help="Only with this status: 404, or 5xx.", show_default=False)]
_NONE = "There were no such calls in this time; take more of it with --since."
StepOption = Annotated[Step, typer.Option(help="How long a row of time is.")]


def build_commands(open_context: Opener) -> typer.Typer:
    """The command group ``calls``; expected failures are raised as SignalboxError."""
    group = typer.Typer(no_args_is_help=True, help="Calls through the gateway: which there were, and how they did.")
    _add_log(group, open_context)
    _add_sums(group, open_context)
    return group


def _add_log(group: typer.Typer, open_context: Opener) -> None:
    @group.command("list")
    def list_calls(
        *,
        upstream: Upstream = None,
        route: Route = None,
        method: Method = None,
        path: Annotated[str | None, typer.Option(help="Only paths that begin so.", show_default=False)] = None,
        status: Status = None,
        since: Since = None,
        until: Until = None,
        limit: Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="How many at most.")] = DEFAULT_LIMIT,
        as_json: Json = False,
    ) -> None:
        """List calls, newest first."""
        wanted = _filters(
            upstream=upstream, route=route, method=method, status=status, since=since, until=until
        )._replace(path_prefix=path)

        async def work(context: Context) -> list[CallOut]:
            return (await context.calls_db.read(service.list_calls, wanted, cursor=None, limit=limit)).items

        found = run(open_context, work)
        if as_json:
            terminal.print_json([each.model_dump(mode="json") for each in found])
        else:
            terminal.print_listing(_listing(found))

    @group.command()
    def show(
        call: Annotated[int, typer.Argument(help="Its id, as `calls list` shows it.", min=1, metavar="ID")],
        *,
        as_json: Json = False,
    ) -> None:
        """Show all that is known of a call."""

        async def work(context: Context) -> CallOut:
            return await context.calls_db.read(service.get_call, number=call)

        found = run(open_context, work).model_dump(mode="json")
        if as_json:
            terminal.print_json(found)
            return
        rows = [(name, str(value)) for name, value in found.items() if value is not None]
        terminal.print_listing(Listing(["Call", str(call)], rows[1:], ""))


def _add_sums(group: typer.Typer, open_context: Opener) -> None:
    @group.command()
    def summary(
        *,
        upstream: Upstream = None,
        route: Route = None,
        method: Method = None,
        status: Status = None,
        since: Since = None,
        until: Until = None,
        step: StepOption = "minute",
        by: Annotated[Dimension, typer.Option(help="What each row is of.")] = "upstream",
        as_json: Json = False,
    ) -> None:
        """Add calls up over time, the last 60 steps unless said otherwise."""
        wanted = _filters(upstream=upstream, route=route, method=method, status=status, since=since, until=until)

        async def work(context: Context) -> Summary:
            return await context.calls_db.read(service.summarize, wanted, step=step, by=by, now=context.clock.now())

        found = run(open_context, work)
        if as_json:
            terminal.print_json(found.model_dump(mode="json"))
        else:
            terminal.print_listing(_sums(found))

    @group.command("heatmap")
    def latencies(
        *,
        upstream: Upstream = None,
        route: Route = None,
        method: Method = None,
        status: Status = None,
        since: Since = None,
        until: Until = None,
        step: StepOption = "minute",
        as_json: Json = False,
    ) -> None:
        """Count calls by how long they took, over time; the last 60 steps unless said otherwise."""
        wanted = _filters(upstream=upstream, route=route, method=method, status=status, since=since, until=until)

        async def work(context: Context) -> Heatmap:
            return await context.calls_db.read(heatmap.map_latencies, wanted, step=step, now=context.clock.now())

        found = run(open_context, work)
        if as_json:
            terminal.print_json(found.model_dump(mode="json"))
        else:
            terminal.print_listing(_heat(found))


def _filters(
    *,
    upstream: str | None,
    route: str | None,
    method: str | None,
    status: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Filters:
    return Filters(
        upstream=upstream,
        route=route,
        method=None if method is None else method.upper(),
        status=None if status is None else service.parse_status(status),
        since=to_moment(since),
        until=to_moment(until),
    )


def _listing(found: list[CallOut]) -> Listing:
    rows = [
        (
            str(each.id),
            terminal.show_second(each.created_at),
            each.method,
            each.path,
            str(each.status_code),
            f"{each.seconds * 1_000:.1f} ms",
            each.upstream or "-",
            each.app or "",
        )
        for each in found
    ]
    hint = "There are no such calls. Old ones are deleted: see retention.calls and retention.call_rows."
    return Listing(["Id", "At", "Method", "Path", "Status", "Took", "Upstream", "App"], rows, hint)


def _sums(found: Summary) -> Listing:
    rows = [
        (terminal.show_minute(point.start), series.name or "-", *_figures(point.totals))
        for series in found.series
        for point in series.points
    ]
    total = [("all", "", *_figures(found.totals))] if rows else []
    headings = ["From", found.by.capitalize(), "Calls", "Success", "Mean", "p50", "p95", "p99"]
    return Listing(headings, [*rows, *total], _NONE)


def _figures(of: Totals) -> tuple[str, ...]:
    rate = "-" if of.success_rate is None else f"{of.success_rate:.1%}"
    times = map(terminal.show_milliseconds, (of.mean_seconds, of.p50_seconds, of.p95_seconds, of.p99_seconds))
    return (f"{of.calls:,}", rate, *times)


def _heat(found: Heatmap) -> Listing:
    bounds = [f"{bound:g} s" if bound >= 1 else f"{bound * 1_000:g} ms" for bound in found.bounds]
    headings = ["From", *(f"≤ {bound}" for bound in bounds), "longer"]
    rows = [(terminal.show_minute(row.start), *map(str, row.counts)) for row in found.rows]
    return Listing(headings, rows, _NONE)
