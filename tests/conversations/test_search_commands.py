"""Searches on the command line."""

import json
from pathlib import Path

import pytest

from signalbox.auth.terminal import InvalidPairError
from signalbox.conversations.errors import ConversationNotFoundError, InvalidQueryError
from tests.conversations.conftest import write
from tests.grid.test_commands import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    made.run("conversations", "import", str(write(tmp_path / "interviews")))
    return made


def test_what_is_live_is_searched(cli: Cli) -> None:
    everything = json.loads(cli.run("conversations", "search", "--json"))
    assert everything["total"] == 7
    found = json.loads(cli.run("conversations", "search", "--filter", "company=zebra", "--json"))
    assert 0 < found["total"] < 7
    first = json.loads(cli.run("conversations", "search", "--limit", "1", "--page", "2", "--json"))
    assert first["conversations"] == [everything["conversations"][1]]
    number = everything["conversations"][0]["id"]
    (one,) = json.loads(cli.run("conversations", "search", f"question {number}", "--json"))["conversations"]
    assert one["id"] == number
    assert f"Question {number}?" in cli.run("conversations", "search")
    assert cli.run("conversations", "search", "nowhere") == ""
    with pytest.raises(InvalidQueryError, match="known are"):
        cli.run("conversations", "search", "--filter", "firm=zebra")
    with pytest.raises(InvalidPairError):
        cli.run("conversations", "search", "--filter", "zebra")


def test_a_transcript_is_read(cli: Cli) -> None:
    item = json.loads(cli.run("conversations", "search", "--json"))["conversations"][0]
    number = str(item["transcript_id"])
    thread = json.loads(cli.run("conversations", "show", number, "--json"))
    assert item["id"] in [each["id"] for each in thread["items"]]
    assert f"Question: {item['question']}" in cli.run("conversations", "show", number)
    with pytest.raises(ConversationNotFoundError):
        cli.run("conversations", "show", "999")


def test_all_that_is_found_is_written(cli: Cli) -> None:
    printed = cli.run("conversations", "export", "--format", "ndjson")
    assert len(printed.splitlines()) == 7
    file = cli.folder / "found.csv"
    assert cli.run("conversations", "export", "--file", str(file), "--filter", "monologues=include") == ""
    assert len(file.read_text().splitlines()) > 8


def test_the_report_of_an_import_is_shown(cli: Cli) -> None:
    found = json.loads(cli.run("conversations", "report", "1", "--json"))
    assert (found["state"], len(found["report"]["files"]) > 0) == ("live", True)
    assert cli.run("conversations", "report", "1") == ""
