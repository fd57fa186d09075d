"""The grid on the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from signalbox.app.cli import build_cli
from signalbox.app.invocation import Invocation
from signalbox.grid.commands import RejectedRowsError
from signalbox.grid.errors import BadFileError

COMPONENTS = "id,component_type,name,substation,length_km,voltage_kv\n7,LINE,L1,North,10,110\n"
READINGS = "component_id,timestamp,value,measurement_type\n7,2026-01-01T12:00:00Z,1,POWER\n"


class Cli:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options: tuple[str, ...] = ()
        """Options of every command, such as ``--config``."""

    def run(self, *words: str) -> str:
        line = ["--data-dir", str(self.folder / "data"), *self.options, *words]
        result = CliRunner().invoke(build_cli(Invocation()), line)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.run("db", "upgrade")
    return made


def test_components_are_imported_and_exported(cli: Cli) -> None:
    file = cli.write("components.csv", COMPONENTS)
    (first,) = json.loads(cli.run("grid", "import", "components", file, "--json"))
    assert (first["status"], first["id"]) == ("created", 7)
    exported = cli.run("grid", "export", "components")
    assert exported.splitlines()[1] == "7,LINE,L1,North,10.0,110.0"
    again = cli.write("again.json", cli.run("grid", "export", "components", "--format", "json"))
    (second,) = json.loads(cli.run("grid", "import", "components", again, "--json"))
    assert second["status"] == "unchanged"
    with pytest.raises(RejectedRowsError, match="1 of 1 rows"):
        cli.run("grid", "import", "components", cli.write("bad.csv", COMPONENTS.replace("110", "-1")))
    with pytest.raises(BadFileError):
        cli.run("grid", "import", "components", str(cli.folder / "missing.csv"))


def test_measurements_are_imported_and_rejects_written(cli: Cli) -> None:
    cli.run("grid", "import", "components", cli.write("components.csv", COMPONENTS))
    good, bad = cli.write("good.csv", READINGS), cli.write("bad.csv", READINGS + "8,2026-01-01T12:00:00Z,1,POWER\n")
    told = json.loads(cli.run("grid", "import", "measurements", good, "--json"))
    assert told == {"rows": 1, "inserted": 1, "duplicates": 0, "rejected": 0}
    rejects = cli.folder / "rejects.csv"
    with pytest.raises(RejectedRowsError, match="1 of 3 rows"):
        cli.run("grid", "import", "measurements", good, bad, "--rejects", str(rejects))
    assert rejects.read_text().splitlines() == ["file,row,reason", f'"{bad}",2,"there is no component 8"']
