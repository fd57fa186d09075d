import asyncio
from datetime import UTC, datetime
from pathlib import Path

from typer.testing import CliRunner, Result

from signalbox.client import Change, Kept, UnreachableError
from signalbox.sandbox.simulate import Tally, build_commands
from tests.sandbox.hub_for_apps import hub_for_apps
from tests.support.databases import SqliteTemplate

LEVEL = Change(3, 1, datetime(2026, 1, 1, tzinfo=UTC), "p", None)


def invoke(*words: str) -> Result:
    return CliRunner().invoke(build_commands(), list(words))


async def test_apps_run_for_as_long_as_was_said(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    async with hub_for_apps(sqlite_template, tmp_path) as (hub, token):
        for kind, said in (("producer", "accepted: "), ("consumer", "changes: ")):
            words = [kind, "--token", token, "--url", hub.url, "--rate", "50", "--apps", "5", "--seconds", "1"]
            done = await asyncio.to_thread(invoke, *words)
            assert done.exit_code == 0, done.output
            assert said in done.output


async def test_a_refusal_is_told(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    async with hub_for_apps(sqlite_template, tmp_path) as (hub, _):
        words = [
            "consumer",
            "--token",
            "sbx_" + "x" * 40,
            "--url",
            hub.url,
            "--rate",
            "50",
            "--apps",
            "2",
            "--seconds",
            "9",
        ]
        done = await asyncio.to_thread(invoke, *words)
        assert done.exit_code == 1
        assert "the hub refuses: 401" in done.output


def test_a_tally_counts_outcomes() -> None:
    tally = Tally()
    assert tally.line() == "nothing yet"
    for kept in (Kept(1, True, None, LEVEL), Kept(2, False, "older", LEVEL), UnreachableError("x")):
        tally.add_report("a", kept)
    for told in (LEVEL, None, UnreachableError("x")):
        tally.add_answer("a", told)
    assert tally.line() == "accepted: 1   changes: 1   not current (older): 1   nothing new: 1   unanswered: 2"
