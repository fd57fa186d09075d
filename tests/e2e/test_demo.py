"""``signalbox demo`` as a newcomer sees it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import SIGNALBOX, Command, Server, ask, sign_in, started, until


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Server]:
    """A demo that may not serve yet, and whose temporary folder is watched."""
    (tmp_path / "tmp").mkdir()
    command: Command = [SIGNALBOX, "demo", "--port", "0", "--rate", "100"]
    with started(command, folder=tmp_path / "here", TMPDIR=str(tmp_path / "tmp"), SIGNALBOX_PORT="1") as server:
        yield server


def left_behind(server: Server) -> list[str]:
    temporary = server.folder.parent / "tmp"
    here = {path.name for path in server.folder.iterdir()} - {"stdout.txt", "stderr.txt"}
    return [*here, *(path.name for path in temporary.iterdir())]


def silent(server: Server) -> list[str]:
    found = ask(f"{server.url}/api/criticality/consumers?state=silent").json
    return [each["app"] for each in found]


@pytest.mark.timeout(120)
def test_the_demo_shows_everything_and_leaves_nothing(demo: Server) -> None:
    until(demo.serves)
    summary = f"{demo.url}/api/statistics/summary"
    until(lambda: ask(summary).json["totals"]["calls"] > 50)
    assert ask(summary).json["totals"]["success_rate"] > 0.5
    newest = ask(f"{demo.url}/api/statistics/?limit=5").json
    assert len(newest) == 5
    assert {"id", "path", "status_code", "seconds", "created_at"} <= newest[0].keys()
    assert ask(f"{demo.url}/categories/MLA97994").status in (200, 404, 500, 503)  # the shop fails now and then
    until(lambda: {task["status"] for task in ask(f"{demo.url}/api/tasks").json} & {"In Progress", "Completed"})
    until(lambda: any(channel["last_success"] for channel in ask(f"{demo.url}/api/channels").json))
    until(lambda: ask(f"{demo.url}/api/criticality/consumers").json)
    until(lambda: ask(f"{demo.url}/api/reports?status=completed").json)
    assert len(ask(f"{demo.url}/api/components").json) == 12
    until(lambda: silent(demo) == ["night-report"], within=50)
    until(lambda: ask(f"{demo.url}/api/events?topic=grid.threshold").json, within=50)
    for name in ("user", "manager"):
        assert sign_in(demo.url, name, name).json["scope"] == name
        assert f"{name} / {name}" in demo.out
    assert [ask(demo.url + path).status for path in ("/docs", "/redoc", "/metrics", "/readyz")] == [200] * 4
    assert f"curl {demo.url}/categories/MLA97994" in demo.out
    assert demo.end(signal.SIGINT) == 0
    assert demo.members() == {}
    assert left_behind(demo) == []
    assert "Traceback" not in demo.err + demo.out
    assert "nothing was left behind" in demo.err


@pytest.mark.timeout(120)
def test_fast_forward_begins_with_a_day_behind_it(tmp_path: Path) -> None:
    command: Command = [SIGNALBOX, "demo", "--port", "0", "--fast-forward"]
    with started(command, folder=tmp_path, SIGNALBOX_PORT="1") as server:
        until(server.serves, within=60)
        (shop,) = ask(f"{server.url}/api/statistics/summary?step=hour&upstream=shop").json["series"]
        assert len(shop["points"]) >= 24
        assert ask(f"{server.url}/api/tasks?status=Completed&limit=50").json
        assert ask(f"{server.url}/api/notifications?topic=gateway.upstream_down").json
        assert silent(server) == ["night-report"]
        assert server.end(signal.SIGINT) == 0
        assert "Traceback" not in server.err + server.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_has_just_begun_leaves_nothing_either(demo: Server, number: signal.Signals) -> None:
    until(lambda: any((demo.folder.parent / "tmp").iterdir()))
    assert demo.end(number) in (0, 130, 143)
    assert demo.members() == {}
    assert left_behind(demo) == []
    assert "Traceback" not in demo.err + demo.out
