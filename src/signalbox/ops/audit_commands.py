"""The audit trail on the command line."""

import json
from typing import Annotated

import typer

from signalbox.auth import terminal
from signalbox.auth.audit import AuditFilter
from signalbox.auth.terminal import Json, Listing, Opener, Since, Until, run, to_moment
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT
from signalbox.infra.context import Context
from signalbox.ops import service
from signalbox.ops.schemas import AuditEntry

_LONGEST = 80
"""Characters that a change has in a table; ``--json`` tells all of it."""


def build_commands(open_context: Opener) -> typer.Typer:
    """The command group ``audit``; expected failures are raised as SignalboxError."""
    group = typer.Typer(no_args_is_help=True, help="The trail of every change that somebody made.")

    @group.command("list")
    def list_entries(
        *,
        actor: Annotated[str | None, typer.Option(help="Only of who, such as user:anna.", show_default=False)] = None,
        action: Annotated[str | None, typer.Option(help="Only such as token.revoke.", show_default=False)] = None,
        target: Annotated[str | None, typer.Option(help="Only of what, such as token:12.", show_default=False)] = None,
        since: Since = None,
        until: Until = None,
        limit: Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="How many at most.")] = DEFAULT_LIMIT,
        as_json: Json = False,
    ) -> None:
        """List who did what to what, newest first."""
        wanted = AuditFilter(actor, action, target, to_moment(since), to_moment(until))

        async def work(context: Context) -> list[AuditEntry]:
            return (await context.db.read(service.list_audit, wanted=wanted, limit=limit)).items

        found = run(open_context, work)
        if as_json:
            terminal.print_json([each.model_dump(mode="json") for each in found])
        else:
            terminal.print_listing(_listing(found))

    return group


def _listing(found: list[AuditEntry]) -> Listing:
    rows = [
        (
            terminal.show_second(each.at),
            each.actor,
            each.action,
            each.target,
            _change(each),
            each.request_id or "",
        )
        for each in found
    ]
    return Listing(["At", "Who", "What", "To", "Change", "Request"], rows, "There are no such entries.")


def _change(of: AuditEntry) -> str:
    """What is another than before, ``name: old -> new``; of what is new or gone, all that is known."""
    before, after = of.before or {}, of.after or {}
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    said = "; ".join(f"{name}: {_word(before.get(name))} -> {_word(after.get(name))}" for name in names)
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"


def _word(value: object) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
