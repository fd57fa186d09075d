"""``signalbox tasks retry`` and ``cancel`` of many, and ``providers``, with the settings of a hub."""

import json
from pathlib import Path

import pytest

from signalbox.tasks.change_commands import WhichTasksError
from tests.grid.test_commands import Cli

SETTINGS = """
[[tasks.providers]]
name = "netlab"
kind = "http-json"
submit_url = "https://netlab.test/tasks"
item_url = "https://netlab.test/tasks/{id}"
limits = ["50/30s"]
[[tasks.providers]]
name = "other"
kind = "http-json"
submit_url = "https://other.test/tasks"
item_url = "https://other.test/tasks/{id}"
"""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Tasks 1 and 2 wait for netlab, 3 for the other provider, 4 is tracked only."""
    made = Cli(tmp_path)
    file = made.write("signalbox.toml", SETTINGS)
    made.options = ("--config", file)
    for name in ("netlab", "netlab", "other"):
        made.run("tasks", "add", "--provider", name)
    made.run("tasks", "add")
    return made


def test_all_that_wait_are_taken_back_but_not_what_is_only_tracked(cli: Cli) -> None:
    found = json.loads(cli.run("tasks", "cancel", "--all-waiting", "--provider", "netlab", "--json"))
    assert [(each["id"], each["done"]) for each in found] == [(2, True), (1, True)]
    cli.run("tasks", "cancel", "--all-waiting")
    assert [each["id"] for each in json.loads(cli.run("tasks", "list", "--json"))] == [4]
    trail = json.loads(cli.run("audit", "list", "--action", "task.cancel", "--json"))
    assert [each["target"] for each in trail] == ["task:3", "task:2", "task:1"]


def test_it_is_said_which_tasks_are_meant(cli: Cli) -> None:
    for words in (("retry",), ("retry", "1", "--all-failed"), ("cancel", "--provider", "netlab"), ("cancel",)):
        with pytest.raises(WhichTasksError, match="say which"):
            cli.run("tasks", *words)


def test_providers_are_shown(cli: Cli) -> None:
    found = json.loads(cli.run("tasks", "providers", "--json"))
    assert [(each["name"], each["queued"]) for each in found] == [("netlab", 2), ("other", 1)]
    assert found[0]["limits"] == [{"limit": "50/30s", "used": 0}]
    assert "0 of 50/30s" in cli.run("tasks", "providers")
    cli.options = ()
    assert cli.run("tasks", "providers") == ""


def test_tasks_that_changed_since_are_listed(cli: Cli) -> None:
    assert len(json.loads(cli.run("tasks", "list", "--since", "2026-01-01", "--json"))) == 4
    assert json.loads(cli.run("tasks", "list", "--since", "2999-01-01", "--json")) == []
