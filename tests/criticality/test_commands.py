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


def test_consumers_are_expected_muted_and_retired(tmp_path: Path) -> None:
    made = run("criticality", "expect", "lamp", "--interval", "5m", "--mute", folder=tmp_path)
    assert (made.code, made.err.strip()) == (0, "lamp is muted, interval 5m")
    assert (
        run("criticality", "expect", "lamp", "--unmute", folder=tmp_path).err.strip() == "lamp is unseen, interval 5m"
    )
    assert run("criticality", "retire", "lamp", folder=tmp_path).err.strip() == "lamp is retired"
    (found,) = run("criticality", "consumers", "--state", "retired", "--json", folder=tmp_path).json
    assert (found["app"], found["interval"]) == ("lamp", "5m")
    for wrong in (
        ("expect", "lamp", "--interval", "5"),
        ("expect", ""),
        ("retire", "nobody"),
        ("steps", "--last", "x"),
    ):
        assert run("criticality", *wrong, folder=tmp_path).code != 0, wrong


def test_what_was_is_shown(tmp_path: Path) -> None:
    for level in ("4", "2"):
        run("criticality", "set", level, folder=tmp_path)
    steps = run("criticality", "steps", "--last", "1h", "--json", folder=tmp_path).json
    assert [each["level"] for each in steps][-1] == 2
    assert run("criticality", "asks", "--json", folder=tmp_path).json == []
