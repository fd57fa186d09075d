"""The log of calls on the command line."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from signalbox.app.invocation import Invocation
from signalbox.gateway.errors import InvalidStatusFilterError, UnknownCallError
from signalbox.gateway.recorder import Recorder
from tests.gateway.conftest import made_call
from tests.grid.test_commands import Cli

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``signalbox calls ...``, where two calls of the shop and a failed one of the bank were recorded just now."""
    cli = Cli(tmp_path)

    async def fill() -> None:
        invocation = Invocation()
        invocation.take("data_dir", str(tmp_path / "data"))
        async with invocation.open_context() as context:
            recorder, now = Recorder(context, enabled=True), context.clock.now()
            recorder.record(made_call(created_at=now))
            recorder.record(made_call(created_at=now, path="/items/2", micros=15_000))
            failed = made_call(created_at=now, upstream="bank", path="/rates", route="/rates", status=503, app="till")
            recorder.record(failed)
            await recorder.close()

    asyncio.run(fill())
    return lambda *words: cli.run("calls", *words)


def test_calls_are_listed_and_shown(run: Run) -> None:
    found = json.loads(run("list", "--json"))
    assert [each["path"] for each in found] == ["/rates", "/items/2", "/items/1"]
    assert all(word in run("list") for word in ("/rates", "503", "bank", "till", "5.0 ms"))
    for filters in (("--upstream", "shop"), ("--path", "/items"), ("--status", "2xx"), ("--route", "/items/{id}")):
        assert len(json.loads(run("list", *filters, "--json"))) == 2
    assert json.loads(run("list", "--method", "post", "--json")) == []
    assert json.loads(run("list", "--since", "2999-01-01", "--json")) == []
    assert len(json.loads(run("list", "--limit", "1", "--json"))) == 1
    number = str(found[0]["id"])
    assert json.loads(run("show", number, "--json")) == found[0]
    assert "/rates" in run("show", number)
    with pytest.raises(UnknownCallError):
        run("show", "999999")
    with pytest.raises(InvalidStatusFilterError):
        run("list", "--status", "6xx")


def test_calls_are_added_up(run: Run) -> None:
    found = json.loads(run("summary", "--json"))
    assert (found["totals"]["calls"], found["totals"]["succeeded"]) == (3, 2)
    table = run("summary", "--by", "status", "--step", "hour")
    assert all(word in table for word in ("503", "0.0%", "100.0%", "66.7%"))
    assert run("summary", "--upstream", "nobody") == ""


def test_calls_are_counted_by_how_long_they_took(run: Run) -> None:
    (row,) = json.loads(run("heatmap", "--upstream", "shop", "--json"))["rows"]
    assert sum(row["counts"]) == 2
    assert "≤ 20 ms" in run("heatmap")
