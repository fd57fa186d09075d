"""Schedules and threshold rules on the command line."""

import json
from pathlib import Path

import pytest

from signalbox.core.errors import InvalidError, UnprocessableError
from signalbox.grid.errors import RuleNotFoundError, ScheduleExistsError, TooManyKeptError
from tests.grid.test_commands import COMPONENTS, READINGS, Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.run("db", "upgrade")
    return made


def test_schedules_are_added_listed_and_removed(cli: Cli) -> None:
    words = ["grid", "schedules", "add", "Feeders", "--every", "week", "--timezone", "Europe/Berlin", "--delay", "10"]
    made = json.loads(cli.run(*words, "--json"))
    assert (made["every"], made["timezone"], made["delay_minutes"]) == ("week", "Europe/Berlin", 10)
    assert made["created_by"].startswith("cli")
    assert json.loads(cli.run("grid", "schedules", "list", "--json")) == [made]
    assert "Europe/Berlin" in cli.run("grid", "schedules", "list")
    with pytest.raises(ScheduleExistsError):
        cli.run(*words)
    with pytest.raises(UnprocessableError, match="every"):
        cli.run("grid", "schedules", "add", "x", "--every", "year")
    cli.run("grid", "schedules", "remove", str(made["id"]))
    assert cli.run("grid", "schedules", "list") == ""


def test_rules_are_added_as_they_are_said_listed_and_removed(cli: Cli) -> None:
    words = ["grid", "rules", "add", "Overload", "power > 55 for 3 readings", "--kind", "LINE", "--severity", "error"]
    made = json.loads(cli.run(*words, "--clear", "50", "--json"))
    assert (made["condition"], made["clear"], made["component_type"]) == ("POWER > 55 for 3 readings", 50, "LINE")
    assert made["severity"] == "error"
    assert "POWER > 55 for 3 readings" in cli.run("grid", "rules", "list")
    with pytest.raises(InvalidError, match="no condition"):
        cli.run("grid", "rules", "add", "x", "POWER is high")
    with pytest.raises(UnprocessableError, match="wrong side"):
        cli.run("grid", "rules", "add", "x", "POWER > 5", "--clear", "6")
    cli.run("grid", "rules", "remove", str(made["id"]))
    with pytest.raises(RuleNotFoundError):
        cli.run("grid", "rules", "remove", str(made["id"]))


def test_the_settings_in_force_bound_them(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALBOX_GRID__MAX_RULES", "0")
    monkeypatch.setenv("SIGNALBOX_GRID__MAX_SCHEDULES", "0")
    for words in (("rules", "add", "x", "POWER > 5"), ("schedules", "add", "x")):
        with pytest.raises(TooManyKeptError):
            cli.run("grid", *words)


def test_files_are_held_against_rules_when_asked(cli: Cli) -> None:
    cli.run("grid", "import", "components", cli.write("components.csv", COMPONENTS))
    cli.run("grid", "rules", "add", "x", "POWER > 0.5")
    file = cli.write("readings.csv", READINGS)
    cli.run("grid", "import", "measurements", file)
    assert json.loads(cli.run("jobs", "list", "--kind", "grid.watch", "--json")) == []
    later = cli.write("later.csv", READINGS.replace("12:00", "13:00"))
    cli.run("grid", "import", "measurements", later, "--rules")
    assert len(json.loads(cli.run("jobs", "list", "--kind", "grid.watch", "--json"))) == 1


def test_a_schedule_is_paused_and_goes_on(cli: Cli) -> None:
    cli.run("grid", "schedules", "add", "Feeders")
    assert json.loads(cli.run("grid", "schedules", "pause", "1", "--json"))["next_report_at"] is None
    assert "paused" in cli.run("grid", "schedules", "list")
    assert json.loads(cli.run("grid", "schedules", "resume", "1", "--json"))["next_report_at"] is not None
