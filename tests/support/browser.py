"""A real browser that looks at the console of a real hub, and what must be true of every page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.support.timing import PATIENCE

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NARROW, WIDE = 390, 1440
FAR = "console.test"
"""A name of this machine that browsers trust no more than any other host; they do trust ``localhost``, even without https."""
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Ends when the page was drawn twice."""
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def browsing() -> Iterator[Browser]:
    """The browser of this machine."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.fail("no Chromium is installed (chromium, google-chrome); run `make services`", pytrace=False)
    with sync_playwright() as player:
        words = ["--no-sandbox", "--disable-gpu", f"--host-resolver-rules=MAP {FAR} 127.0.0.1"]
        browser = player.chromium.launch(executable_path=found, args=words)
        yield browser
        browser.close()


@dataclass
class ConsolePage:
    """A tab that is signed in to the console at ``root``, the address of the hub; notes what goes wrong in it."""

    tab: Page
    root: str
    errors: list[str] = field(default_factory=list)
    """What the browser complained of."""
    strangers: list[str] = field(default_factory=list)
    """Addresses on other hosts that were asked."""

    @classmethod
    def of(cls, context: BrowserContext, root: str) -> Self:
        page = cls(context.new_page(), root)
        page.tab.on("console", page._note_message)
        page.tab.on("pageerror", lambda error: page.errors.append(str(error)))
        page.tab.on("request", page._note_request)
        page.tab.set_default_timeout(PATIENCE * 1_000)
        return page

    def sign_in(self, name: str, password: str) -> None:
        self.tab.goto(f"{self.root}/console/sign-in")
        self.tab.fill("#username", name)
        self.tab.fill("#password", password)
        self.tab.click("button[type=submit]")
        self.tab.wait_for_url(f"{self.root}/console")
        self.wait_ready()

    def open(self, path: str = "") -> Page:
        """Go to a path below ``/console``."""
        self.tab.goto(f"{self.root}/console{path}")
        if "/sign-in" not in self.tab.url:
            self.wait_ready()
        return self.tab

    def wait_ready(self) -> None:
        """Until the page's scripts, which come after its first paint, hear what is clicked."""
        self.tab.wait_for_selector("html[data-ready]")

    def wait_live(self) -> None:
        """Until the page follows changes."""
        self.tab.wait_for_selector("#live[data-state=live]")

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _note_request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.root).netloc and not request.url.startswith("data:"):
            self.strangers.append(request.url)


def check_page(page: ConsolePage) -> None:
    """What must be true of every page: accessible in light and dark, wide and narrow; no errors; asks nobody else."""
    tab = page.tab
    for theme in THEMES:
        tab.emulate_media(color_scheme=theme)
        for width in (WIDE, NARROW):
            tab.set_viewport_size({"width": width, "height": 900})
            tab.wait_for_timeout(50)
            tab.evaluate(DRAWN)  # media queries and the charts that redraw
            assert breaches(tab) == [], f"{tab.url} in {theme} at {width} px"
            assert overflow(tab) == [], f"{tab.url} scrolls sideways at {width} px"
    tab.set_viewport_size({"width": WIDE, "height": 900})
    assert page.errors == []
    assert page.strangers == []


def breaches(tab: Page) -> list[str]:
    """What axe finds: rule, element, how to mend it."""
    tab.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found: dict[str, Any] = tab.evaluate("rules => axe.run({runOnly: {type: 'tag', values: rules}})", _RULES)
    return [
        f"{rule['id']}: {node['html'][:200]} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def overflow(tab: Page) -> list[str]:
    """Elements that stick out of the page, where it can be scrolled sideways."""
    script = """() => {
        const wide = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= wide) return [];
        return [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > wide + 1)
            .map(e => e.outerHTML.slice(0, 120));
    }"""
    return list(tab.evaluate(script))
