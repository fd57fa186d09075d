"""Components one by one on the command line."""

import json
from pathlib import Path

import pytest

from signalbox.core.errors import UnprocessableError
from signalbox.grid.errors import ComponentExistsError, ComponentNotFoundError
from tests.grid.test_commands import READINGS, Cli

LINE = ("grid", "components", "add", "LINE", "L1", "North")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.run("db", "upgrade")
    return made


def test_a_component_is_added_changed_and_removed(cli: Cli) -> None:
    made = json.loads(cli.run(*LINE, "length_km=10", "voltage_kv=110", "from_substation=South", "--json"))
    assert (made["name"], made["length_km"]) == ("L1", 10)
    number = str(made["id"])
    changed = json.loads(
        cli.run("grid", "components", "change", number, "length_km=12.5", "from_substation=", "--json")
    )
    assert (changed["length_km"], changed["voltage_kv"], changed.get("from_substation")) == (12.5, 110, None)
    cli.run("grid", "components", "remove", number)
    with pytest.raises(ComponentNotFoundError):
        cli.run("grid", "components", "show", number)
    trail = json.loads(cli.run("audit", "list", "--target", f"component:{number}", "--json"))
    assert [each["action"] for each in trail] == ["component.delete", "component.change", "component.create"]


def test_what_is_no_component_is_refused(cli: Cli) -> None:
    with pytest.raises(UnprocessableError, match="length_km"):
        cli.run(*LINE, "voltage_kv=110")
    cli.run(*LINE, "length_km=10", "voltage_kv=110")
    with pytest.raises(ComponentExistsError):
        cli.run(*LINE, "length_km=10", "voltage_kv=110")
    with pytest.raises(UnprocessableError, match="voltage_kv"):
        cli.run("grid", "components", "change", "1", "voltage_kv=high")


def test_components_are_listed_and_shown_with_their_readings(cli: Cli) -> None:
    assert cli.run("grid", "components", "list") == ""
    component = {"id": 7, "component_type": "LINE", "name": "L1", "substation": "North"}
    file = cli.write("one.json", json.dumps([{**component, "length_km": 10, "voltage_kv": 110}]))
    cli.run("grid", "import", "components", file)
    cli.run("grid", "rules", "add", "x", "POWER > 0.5")
    cli.run("grid", "import", "measurements", cli.write("readings.csv", READINGS))
    assert "North" in cli.run("grid", "components", "list")
    assert json.loads(cli.run("grid", "components", "list", "--substation", "South", "--json")) == []
    shown = json.loads(cli.run("grid", "components", "show", "7", "--json"))
    assert (shown["name"], shown["newest"][0]["value"], shown["crossings"]) == ("L1", 1, [])
    assert "POWER" in cli.run("grid", "components", "show", "7")
    (reading,) = json.loads(cli.run("grid", "readings", "7", "--type", "POWER", "--json"))
    assert (reading["timestamp"], reading["value"]) == ("2026-01-01T12:00:00Z", 1)
    assert "2026-01-01 12:00:00 UTC" in cli.run("grid", "readings", "7")
    assert cli.run("grid", "readings", "7", "--since", "2026-01-01T12:01") == ""
    with pytest.raises(ComponentNotFoundError):
        cli.run("grid", "readings", "8")
