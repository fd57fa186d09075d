"""``signalbox upstreams``: how the upstreams of a running hub do.

What a breaker or a limit knows is in the memory of the server, so these commands ask it over HTTP.
"""

import json
import urllib.error
import urllib.request
from typing import Annotated, Any
from urllib.parse import quote

import typer

from signalbox.auth import terminal
from signalbox.auth.terminal import Listing
from signalbox.core.errors import ConflictError, InvalidError, NotFoundError, SignalboxError, UnavailableError

TIMEOUT = 30.0
"""Seconds."""

Name = Annotated[str, typer.Argument(help="Name of the upstream.", show_default=False)]
Token = Annotated[str, typer.Option(envvar="SIGNALBOX_TOKEN", help="A token of the hub.", show_default=False)]
Url = Annotated[str, typer.Option(envvar="SIGNALBOX_URL", help="Address of the hub.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_HERE = "http://127.0.0.1:8000"
_HEADINGS = ["Name", "Breaker", "In flight", "Calls/s", "Errors", "p50", "p95", "p99", "Why"]
_NOT_FOUND, _CONFLICT, _SERVER_ERROR = 404, 409, 500


class HubRefusedError(InvalidError):
    """The hub did not do what it was asked for."""

    code = "hub_refused"


class HubNotFoundError(NotFoundError):
    """The hub knows no such thing."""

    code = "hub_not_found"


class HubConflictError(ConflictError):
    """The hub is in no state to do it."""

    code = "hub_conflict"


class HubAwayError(UnavailableError):
    """The hub cannot be reached, or cannot answer now."""

    code = "hub_away"


def build_commands() -> typer.Typer:
    """The command group ``upstreams``; expected failures are raised as SignalboxError."""
    group = typer.Typer(no_args_is_help=True, help="The upstreams of a running hub.")
    _add_looks(group)
    _add_probe(group)
    _add_changes(group)
    return group


def _add_looks(group: typer.Typer) -> None:
    @group.command("list")
    def list_upstreams(token: Token, *, url: Url = _HERE, as_json: AsJson = False) -> None:
        """Show how each does; the token needs the scope statistics:read."""
        found = call_hub(url, "/api/upstreams", token=token)
        if as_json:
            terminal.print_json(found)
            return
        rows = [_row(each) for each in found]
        terminal.print_listing(Listing(_HEADINGS, rows, "The hub has no upstreams; see [[gateway.upstreams]]"))

    @group.command("show")
    def show(name: Name, token: Token, *, url: Url = _HERE, as_json: AsJson = False) -> None:
        """Show one with its servers and limits; the token needs the scope statistics:read."""
        found = call_hub(url, f"/api/upstreams/{quote(name, safe='')}", token=token)
        if as_json:
            terminal.print_json(found)
            return
        terminal.print_listing(Listing(_HEADINGS, [_row(found)], ""))
        servers = [
            [each["url"], str(each["in_flight"]), str(each["failures_in_a_row"]), each["ejected_until"] or ""]
            for each in found["targets"]
        ]
        terminal.print_listing(Listing(["Server", "In flight", "Failures in a row", "Ejected until"], servers, ""))
        used = [
            [each["name"], each["rate"], counter["key"] or "all", str(counter["used"])]
            for each in found["limits"]
            for counter in each["fullest"]
        ]
        terminal.print_listing(Listing(["Limit", "Rate", "Of", "Used"], used, "No limit counts calls at present."))


def _add_probe(group: typer.Typer) -> None:
    @group.command("probe")
    def probe(name: Name, token: Token, *, url: Url = _HERE, as_json: AsJson = False) -> None:
        """Ask its servers now; the token needs the scope manager. Exit code 5 where one does not answer."""
        found = call_hub(url, f"/api/upstreams/{quote(name, safe='')}/probe", token=token, method="POST")
        targets = found["targets"]
        if as_json:
            terminal.print_json(found)
        else:
            rows = [
                [each["url"], _text(each["status"]), f"{each['seconds']:.3f} s", each["error"] or ""]
                for each in targets
            ]
            terminal.print_listing(Listing(["Server", "Status", "After", "Error"], rows, "There are no servers"))
        if any(each["status"] is None for each in targets):
            msg = f"not every server of {name} answers"
            raise HubAwayError(msg)


def _add_changes(group: typer.Typer) -> None:
    @group.command("reset")
    def reset(name: Name, token: Token, *, url: Url = _HERE, as_json: AsJson = False) -> None:
        """Close its circuit breaker; the token needs the scope manager."""
        path = f"/api/upstreams/{quote(name, safe='')}/breaker/reset"
        found = call_hub(url, path, token=token, method="POST")
        if as_json:
            terminal.print_json(found)
        else:
            terminal.say(f"the circuit breaker of {name} is {found['breaker']['state']}")

    @group.command("purge")
    def purge(
        name: Name,
        token: Token,
        *,
        prefix: Annotated[str | None, typer.Option(help="Only paths below this.", show_default=False)] = None,
        url: Url = _HERE,
        as_json: AsJson = False,
    ) -> None:
        """Forget its cached answers; the token needs the scope manager."""
        query = "" if prefix is None else f"?prefix={quote(prefix, safe='')}"
        found = call_hub(url, f"/api/upstreams/{quote(name, safe='')}/cache{query}", token=token, method="DELETE")
        if as_json:
            terminal.print_json(found)
        else:
            terminal.say(f"{found['purged']} cached answers of {name} are forgotten")


def call_hub(url: str, path: str, *, token: str, method: str = "GET") -> Any:
    """What the hub answers, decoded.

    Raises:
        SignalboxError: it cannot be reached, or refuses.
    """
    if not url.startswith(("http://", "https://")):
        msg = f"{url!r} is no address of a hub, such as {_HERE}"
        raise HubRefusedError(msg)
    request = urllib.request.Request(url.rstrip("/") + path, method=method, headers={"Token": token})  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - checked above
            return json.load(answer)
    except urllib.error.HTTPError as refusal:
        raise _refusal(refusal) from None
    except (OSError, ValueError) as error:
        msg = f"the hub at {url} gives no answer: {getattr(error, 'reason', error)}"
        raise HubAwayError(msg) from None


def _refusal(answer: urllib.error.HTTPError) -> SignalboxError:
    with answer:
        text = answer.read()
    try:
        detail = str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the hub answered with status {answer.code}"
    kinds = {_NOT_FOUND: HubNotFoundError, _CONFLICT: HubConflictError}
    kind = HubAwayError if answer.code >= _SERVER_ERROR else kinds.get(answer.code, HubRefusedError)
    return kind(detail)


def _row(upstream: Any) -> list[str]:
    times = [terminal.show_milliseconds(upstream[f"{name}_seconds"]) for name in ("p50", "p95", "p99")]
    errors = "-" if upstream["error_rate"] is None else f"{upstream['error_rate']:.1%}"
    breaker, calls = upstream["breaker"], f"{upstream['calls_per_second']:.1f}"
    return [upstream["name"], breaker["state"], str(upstream["in_flight"]), calls, errors, *times, breaker["reason"]]


def _text(value: object) -> str:
    return "-" if value is None else str(value)
