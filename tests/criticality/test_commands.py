import json
from pathlib import Path

from tests.support.processes import run


def test_levels_are_set_and_shown(tmp_path: Path) -> None:
    made = run("criticality", "set", "4", "--reason", "drill", folder=tmp_path)
    assert (made.code, made.err.strip()) == (0, "revision 1 is current")
    (signal,) = run("criticality", "signals", "--json", folder=tmp_path).json
    assert (signal["signal"], signal["level"], signal["reason"]) == ("default", 4, "drill")
    (change,) = json.loads(run("criticality", "history", "--json", folder=tmp_path).out)
    assert (change["revision"], change["accepted"]) == (1, True)
    table = run("criticality", "consumers", folder=tmp_path)
    assert (table.code, table.out.split()[:2]) == (0, ["app", "signal"])


def test_wrong_levels_are_refused(tmp_path: Path) -> None:
    refused = run("criticality", "set", "9", folder=tmp_path)
    assert refused.code != 0
    assert "from 1 to 5" in refused.err
