"""Takes the pictures of the README: starts the demo with a day behind it, lets it live for a while, and looks at each page of the console.

Run by ``make screenshots``. Needs Chromium on the PATH. Pictures go to ``docs/images``; one over 300 KB is an error.
"""

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDE = ViewportSize(width=1440, height=900)
NARROW = ViewportSize(width=390, height=844)
MOST_BYTES = 300_000
STARTS_WITHIN = 120.0
RATE = "5"
"""Calls a second, as many as the day behind it had, so that plots have no cliff where the demo began."""
SHOWN = ("overview", "gateway", "tasks", "notifications", "criticality")
"""Pages of which the README has pictures."""
LOOKS = {"gateway": "?period=24h"}
"""What a page is asked for besides, so that the day shows."""
SETTLES_MS = 2_500
"""How long a page has to draw its charts."""


def main(seconds: float) -> int:
    """Take all pictures of a demo that has lived for so long."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with demo() as url, sync_playwright() as player:
        browser = player.chromium.launch(executable_path=find_browser(), args=["--no-sandbox", "--disable-gpu"])
        time.sleep(seconds)
        taken = [*take(browser, url, theme="light", only=SHOWN), *take(browser, url, theme="dark", only=("overview",))]
        taken += take(browser, url, theme="light", only=("overview",), narrow=True)
        browser.close()
    large = [path for path in taken if path.stat().st_size > MOST_BYTES]
    for path in taken:
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} KB{' (too large)' if path in large else ''}")
    return 1 if large else 0


def take(browser: Browser, url: str, *, theme: str, only: tuple[str, ...], narrow: bool = False) -> list[Path]:
    """Pictures of some pages of the navigation."""
    context = browser.new_context(
        viewport=NARROW if narrow else WIDE, color_scheme="dark" if theme == "dark" else "light"
    )
    page = context.new_page()
    sign_in(page, url)
    taken = []
    for name, address in pages_of(page):
        if name not in only:
            continue
        page.goto(address + LOOKS.get(name, ""))
        page.wait_for_timeout(SETTLES_MS)
        path = IMAGES / f"console-{name}{'-dark' if theme == 'dark' else ''}{'-narrow' if narrow else ''}.png"
        page.screenshot(path=path)
        taken.append(path)
    context.close()
    return taken


def sign_in(page: Page, url: str) -> None:
    """As the demo's manager; the tour would cover what is to be seen."""
    page.context.add_cookies([{"name": "signalbox_tour", "value": "hidden", "url": f"{url}/console"}])
    page.goto(f"{url}/console/sign-in")
    page.fill("#username", "manager")
    page.fill("#password", "manager")
    page.click("button[type=submit]")
    page.wait_for_url(f"{url}/console")


def pages_of(page: Page) -> list[tuple[str, str]]:
    """Names and addresses of the navigation."""
    addresses = [link.get_attribute("href") or "" for link in page.locator("#nav a").all()]
    origin = "/".join(page.url.split("/")[:3])
    return [(re.sub(r".*/console/?", "", each).replace("/", "-") or "overview", origin + each) for each in addresses]


@contextmanager
def demo() -> Iterator[str]:
    """The demo on a free port; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "signalbox", "demo", "--fast-forward", "--rate", RATE, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/readyz")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_for(address: str) -> None:
    """Until something answers there; the demo's users are added a moment later."""
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310 - an address of our own
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def find_browser() -> str:
    """The browser of this machine."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sys.exit("no Chromium is installed (chromium, google-chrome); run `make services`")
    return found


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 40.0))
