"""First paint of every page of the console, over loopback, with a million calls recorded.

``python bench/console.py``; needs Chromium. The hub is the demo with a day behind it, which goes on living meanwhile. Each
page is opened twice: from another page, in the tab of a person who has signed in, and by a browser that was never there
before, which must start a process for it and fetch every file.
"""

import argparse
import sqlite3
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, StorageState, sync_playwright

from report import LEAST_ROUNDS, Report, Target, publish
from support import BENCH, Running, answers, find, folder, free_port, require, server, version

CALLS = 1_000_000
MOST_PAINT = 200.0
"""Milliseconds."""
BARE = "/readyz"
"""A text of some bytes: what the browser itself takes."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOADED_WITHIN = 180.0
"""Seconds for a day to be made."""
SETTLES_SECONDS = 20.0
"""For the demo's data set to be brought in."""

READS_MS = 300
"""How long a page is left alone after it was loaded, until its charts are drawn."""

Times = tuple[float, float, float]
"""Milliseconds from asking until the answer begins, and until something is painted; until that in a new browser."""

_TIMES = """() => new Promise(done => {
    const told = list => list.find(each => each.name === 'first-contentful-paint');
    const end = paint => done([performance.getEntriesByType('navigation')[0].responseStart, paint.startTime]);
    const there = told(performance.getEntriesByType('paint'));
    if (there) return end(there);
    new PerformanceObserver(list => told(list.getEntries()) && end(told(list.getEntries()))).observe({type: 'paint'});
})"""


def main() -> int:
    """Measure, print and keep; the exit status tells whether the target was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=CALLS)
    options = parser.parse_args()
    require("taskset", "signalbox")
    browser_path = next(filter(None, map(find, BROWSERS)), None)
    if browser_path is None:
        sys.exit("no Chromium is installed: make services")
    with folder() as place, _demo(place, options.calls) as hub, _browser(browser_path) as browser:
        signed_in, paths = _enter(browser, hub.url)
        runs: dict[str, list[Times]] = {path: [] for path in (BARE, *paths)}
        with browser.new_context(storage_state=signed_in) as context:
            tab = context.new_page()
            for path in runs:
                _look(tab, hub.url + path)
            for _ in range(options.rounds):
                for path, times in runs.items():
                    times.append((*_look(tab, hub.url + path), _look_anew(browser, hub.url + path, signed_in)))
    return publish(_report(runs, options, browser_path), keep=options.rounds >= LEAST_ROUNDS)


@contextmanager
def _demo(place: Path, calls: int) -> Iterator[Running]:
    """The demo once it has its past, and has brought in its data set."""
    port = free_port()
    command = [sys.executable, str(BENCH / "console_hub.py"), str(port), str(calls)]
    with server(command, port, place=place, env={"TMPDIR": str(place)}) as running:
        deadline = time.monotonic() + LOADED_WITHIN
        while not answers(running.url + BARE):
            if time.monotonic() > deadline:
                raise RuntimeError((place / "log").read_text(errors="replace")[-2_000:])
        time.sleep(SETTLES_SECONDS)
        _check_calls(place, calls)
        yield running


def _check_calls(place: Path, wanted: int) -> None:
    """Raise RuntimeError unless about as many calls are recorded as there should be."""
    (file,) = place.glob("*/**/*-calls.db")
    with closing(sqlite3.connect(file, timeout=30)) as connection:
        (found,) = connection.execute("SELECT sum(calls) FROM call_block").fetchone()
    if not 0.95 * wanted <= found:
        msg = f"{found:,} calls are recorded, not {wanted:,}"
        raise RuntimeError(msg)


@contextmanager
def _browser(path: str) -> Iterator[Browser]:
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def _enter(browser: Browser, url: str) -> tuple[StorageState, list[str]]:
    """Sign in as the demo's manager; the session's cookies, and the paths of all that the navigation and its pages lead to."""
    with browser.new_context() as context:
        context.add_cookies([{"name": "signalbox_tour", "value": "hidden", "url": f"{url}/console"}])
        page = context.new_page()
        page.goto(f"{url}/console/sign-in")
        page.fill("#username", "manager")
        page.fill("#password", "manager")
        page.click("button[type=submit]")
        page.wait_for_url(f"{url}/console")
        paths = _paths(page, "#nav a")
        for path in tuple(paths):
            page.goto(url + path)
            paths += _paths(page, "nav.tabs a")
        return context.storage_state(), list(dict.fromkeys(paths))


def _paths(page: Page, links: str) -> list[str]:
    return [str(link.get_attribute("href")) for link in page.locator(links).all()]


def _look(tab: Page, address: str) -> tuple[float, float]:
    tab.goto(address, wait_until="commit")
    answered, painted = tab.evaluate(_TIMES)
    tab.wait_for_load_state("load")
    tab.wait_for_timeout(READS_MS)
    return answered, painted


def _look_anew(browser: Browser, address: str, signed_in: StorageState) -> float:
    with browser.new_context(storage_state=signed_in) as context:
        return _look(context.new_page(), address)[1]


def _report(runs: dict[str, list[Times]], options: argparse.Namespace, browser_path: str) -> Report:
    middle = {path: tuple(map(statistics.median, zip(*times, strict=True))) for path, times in runs.items()}
    pages = {path: painted for path, (_, painted, _) in middle.items() if path != BARE}
    return Report(
        name="console",
        title=f"The console's pages with {options.calls:,} calls recorded",
        how=f"Chromium, headless, without a GPU, opens each page {options.rounds} times, in turn: in the tab of a manager "
        "who has signed in and comes from another page, and as a browser that was never there, with an empty cache and a "
        "process that must start. Medians, from asking until the answer begins and until the first text is painted. The "
        "demo on one core, with its sandbox and live traffic; the browser wherever it likes.",
        columns=("page", "answer begins, ms", "first paint, ms", "slowest, ms", "in a new browser, ms"),
        rows=[
            (path, f"{answered:.0f}", f"{painted:.0f}", f"{max(each[1] for each in runs[path]):.0f}", f"{anew:.0f}")
            for path, (answered, painted, anew) in middle.items()
        ],
        targets=[
            Target("first paint, median over all pages, ms", statistics.median(pages.values()), most=MOST_PAINT),
            Target("first paint of the slowest page, ms", max(pages.values()), most=MOST_PAINT),
        ],
        settings={"Chromium": version(browser_path, "--version"), BARE: "what the browser itself takes for some bytes"},
        raw=runs,
    )


if __name__ == "__main__":
    raise SystemExit(main())
