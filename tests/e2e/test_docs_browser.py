"""The documentation in a real browser that can reach nothing but the hub."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.processes import Server, serving
from tests.support.timing import PATIENCE

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIME_BUDGET_MS = 10_000
"""How far the page's clock is run; it goes fast while nothing is under way."""


@pytest.fixture(scope="module")
def browser() -> str:
    """The browser's command."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.fail("no Chromium is installed (chromium, google-chrome); run `make services`", pytrace=False)
    return found


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server below /b."""
    with serving("--root-path", "/b", folder=tmp_path_factory.mktemp("below")) as started:
        yield started


def visit(browser: str, url: str, folder: Path) -> tuple[str, set[str]]:
    """The page when it has settled, and every address that it asked for, its own included."""
    net_log = folder / "net.json"
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={net_log}",
        f"--virtual-time-budget={TIME_BUDGET_MS}",
        "--dump-dom",
        url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, set(requests_of_pages(json.loads(net_log.read_text(encoding="utf-8"))))


def requests_of_pages(net_log: dict[str, Any]) -> Iterator[str]:
    """Addresses that pages asked for; what the browser wants for itself (the time, its updates) is not theirs."""
    begun = net_log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    for event in net_log["events"]:
        details = event.get("params", {})
        by_browser = details.get("initiator") == "not an origin" and details.get("request_type") != "main frame"
        if event["type"] == begun and "url" in details and not by_browser:
            yield details["url"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("page", "told"), [("/docs", "opblock"), ("/redoc", "operation/")])
@pytest.mark.parametrize("root", ["", "/b"])
def test_the_page_renders_and_asks_nobody_else(
    request: pytest.FixtureRequest, browser: str, tmp_path: Path, root: str, page: str, told: str
) -> None:
    server: Server = request.getfixturevalue("below" if root else "server")
    origin = f"http://{urlsplit(server.url).netloc}"
    content, asked = visit(browser, f"{origin}{root}{page}", tmp_path)
    assert {f"{origin}{root}{page}", f"{origin}{root}/openapi.json"} <= asked
    assert [address for address in asked if not address.startswith(f"{origin}{root}/")] == []
    assert told in content
    for path in ("/auth/token", "/api/audit", "/api/statistics/", "/healthz"):
        assert path in re.sub(r"<wbr/?>|\u200b", "", content), path


def test_a_page_that_asks_others_would_be_found_out(browser: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<script src='https://cdn.test/x.js'></script><script>fetch('http://api.test/y')</script>")
    _, asked = visit(browser, page.as_uri(), tmp_path)
    assert {"https://cdn.test/x.js", "http://api.test/y"} <= asked
