"""What the console does, a command can do: each of its actions and pages is listed here with the commands for it."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from signalbox.app.groups import ENTRIES
from signalbox.app.invocation import Invocation
from signalbox.app.lazy import load_from
from signalbox.console.pages import PAGES

ACTIONS = {
    "/tasks": ["tasks add --provider"],
    "/tasks/actions": ["tasks retry --all-failed", "tasks cancel --all-waiting"],
    "/tasks/{number}/retry": ["tasks retry"],
    "/tasks/{number}/cancel": ["tasks cancel"],
    "/jobs/actions": ["jobs retry --all-dead", "jobs cancel --all-waiting"],
    "/jobs/retry": ["jobs retry --all-dead --kind"],
    "/jobs/{number}/retry": ["jobs retry"],
    "/jobs/{number}/cancel": ["jobs cancel"],
    "/jobs/schedules/{name}/run": ["jobs run"],
    "/jobs/schedules/{name}/pause": ["jobs pause"],
    "/jobs/schedules/{name}/resume": ["jobs resume"],
    "/gateway/upstreams/{name}/probe": ["upstreams probe"],
    "/gateway/upstreams/{name}/reset": ["upstreams reset"],
    "/gateway/upstreams/{name}/purge": ["upstreams purge --prefix"],
    "/notifications/messages/{id}/retry": ["notify retry --channel"],
    "/notifications/retry": ["notify retry --channel --topic --all"],
    "/notifications/channels/{name}/test": ["notify send-test"],
    "/notifications/channels/{name}/enable": ["notify enable"],
    "/notifications/silences": ["notify silence --for --topic --severity --app"],
    "/notifications/silences/{number}/end": ["notify unsilence"],
    "/criticality/level": ["criticality set --signal --reason"],
    "/criticality/consumers": ["criticality expect --interval"],
    "/criticality/consumers/mute": ["criticality expect --mute"],
    "/criticality/consumers/retire": ["criticality retire"],
    "/grid/components": ["grid components add"],
    "/grid/components/{number}": ["grid components change"],
    "/grid/components/{number}/delete": ["grid components remove"],
    "/grid/measurements": ["grid import measurements"],
    "/grid/reports": ["grid reports order --timezone --name"],
    "/grid/reports/{number}/rerun": ["grid reports rerun"],
    "/grid/reports/{number}/delete": ["grid reports remove"],
    "/grid/components/import": ["grid import components"],
    "/grid/schedules": ["grid schedules add --every --timezone --delay"],
    "/grid/rules": ["grid rules add --clear --component --kind --severity"],
    "/grid/schedules/{number}/pause": ["grid schedules pause", "grid schedules resume"],
    "/grid/schedules/{number}/delete": ["grid schedules remove"],
    "/grid/rules/{number}/delete": ["grid rules remove"],
    "/conversations/imports": ["conversations import"],
    "/admin/users": ["users add --role"],
    "/admin/users/{name}/password": ["users password"],
    "/admin/users/{name}/role": ["users role"],
    "/admin/users/{name}/disable": ["users disable"],
    "/admin/users/{name}/enable": ["users enable"],
    "/admin/tokens": ["tokens create --scope --app --any-app --expires"],
    "/admin/tokens/{id}/revoke": ["tokens revoke"],
}
"""Whatever is POST, files included. Commands with the options that stand for what the form asks."""

SHOWN = {
    "overview": ["jobs kinds", "upstreams list", "criticality signals", "criticality consumers", "notify channels"],
    "gateway": [
        "upstreams list",
        "upstreams show",
        "calls list --upstream --route --method --path --status --since --until",
        "calls show",
        "calls summary --step",
        "calls heatmap --step",
    ],
    "tasks": ["tasks list --status --provider --app --since --find", "tasks show", "tasks providers"],
    "jobs": ["jobs list --state --kind", "jobs show", "jobs kinds", "jobs schedules"],
    "notifications": [
        "notify list --state --channel --topic --severity --app --customer --since",
        "notify show",
        "notify channels",
        "notify silences",
        "notify test",
        "notify preview",
    ],
    "criticality": [
        "criticality signals",
        "criticality history",
        "criticality consumers",
        "criticality steps",
        "criticality asks",
    ],
    "grid": [
        "grid components list --substation",
        "grid components show",
        "grid readings --type --since --until",
        "grid export components",
        "grid reports list",
        "grid reports show",
        "grid reports save",
        "grid schedules list",
        "grid rules list",
    ],
    "conversations": [
        "conversations search --filter",
        "conversations show",
        "conversations export --format",
        "conversations imports",
        "conversations report",
    ],
    "users": ["users list"],
    "tokens": ["tokens list"],
    "audit": ["audit list --actor --action --target --since --until"],
    "system": ["config show", "db show"],
}
"""What each page shows, by its name."""


def commands() -> Iterator[tuple[str, set[str]]]:
    """Every command with its options."""
    for name, entry in ENTRIES.items():
        yield from below(name, load_from(partial(entry.add, invocation=Invocation()), name))


def below(name: str, command: Any) -> Iterator[tuple[str, set[str]]]:
    """A command with its options; of a group, those in it."""
    if members := getattr(command, "commands", None):
        for word, member in members.items():
            yield from below(f"{name} {word}", member)
    else:
        yield name, {option for each in command.params for option in (*each.opts, *each.secondary_opts)}


KNOWN = dict(commands())


def test_each_action_of_the_console_is_listed() -> None:
    posted = {route.path for page in PAGES for route in page.routes if route.method == "POST"}
    uploads = {upload.path for page in PAGES for upload in page.uploads}
    assert posted | uploads == ACTIONS.keys(), "a new action of the console needs a command that does the same"


def test_each_page_of_the_console_is_listed() -> None:
    assert {page.name for page in PAGES} == SHOWN.keys(), "a new page needs commands that show the same"


@pytest.mark.parametrize("line", sorted({line for lines in (*ACTIONS.values(), *SHOWN.values()) for line in lines}))
def test_each_command_exists(line: str) -> None:
    name, *options = line.split(" --")
    assert name in KNOWN
    assert {f"--{option}" for option in options} <= KNOWN[name]


@pytest.mark.parametrize("line", sorted({line for lines in SHOWN.values() for line in lines} - {"grid reports save"}))
def test_what_is_shown_is_there_for_machines_too(line: str) -> None:
    name = line.partition(" --")[0]
    assert {"--json", "--format"} & KNOWN[name]
