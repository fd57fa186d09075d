"""The audit trail on the command line."""

import json

import typer
from typer.testing import CliRunner

from signalbox.auth import audit
from signalbox.auth.terminal import Opener
from signalbox.ops.audit_commands import build_commands
from tests.ops.test_commands import act, opener

__all__ = ["opener"]

NOW = 1_767_225_600_000_000
"""The first moment of 2026."""


def test_entries_are_listed_newest_first(opener: Opener) -> None:
    for place, who in enumerate(("user:anna", "cli:root", "user:anna")):
        act(
            opener,
            lambda tx, now, at=NOW + place * 60_000_000, who=who: audit.record(
                tx,
                actor=who,
                action="channel.enable",
                target="channel:chat",
                before={"state": "disabled", "name": "chat"},
                after={"state": "active", "name": "chat"},
                at=at,
                request_id="r-1",
            ),
        )
    app = typer.Typer()
    app.add_typer(build_commands(opener), name="audit")

    def run(*words: str) -> str:
        result = CliRunner().invoke(app, ["audit", "list", *words])
        assert result.exception is None, result.output
        return result.stdout

    table = run()
    assert all(word in table for word in ("user:anna", "state: disabled -> active", "r-1", "2026-01-01 00:02:00 UTC"))
    assert "name: " not in table
    assert [each["id"] for each in json.loads(run("--actor", "user:anna", "--json"))] == [3, 1]
    assert [each["id"] for each in json.loads(run("--since", "2026-01-01T00:01", "--json"))] == [3, 2]
    assert [each["id"] for each in json.loads(run("--until", "2026-01-01T01:01+01:00", "--json"))] == [1]
    assert run("--action", "token.revoke") == ""
    assert len(json.loads(run("--limit", "2", "--json"))) == 2
