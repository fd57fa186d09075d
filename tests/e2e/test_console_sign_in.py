"""Signing in and out with a real browser, at an address that it does not trust: plain http, and not ``localhost``."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.support.browser import FAR, ConsolePage
from tests.support.console_hub import PASSWORD, ConsoleHub

pytestmark = pytest.mark.timeout(120)


def test_one_signs_in_and_out_without_https(chromium: Browser, shown_hub: ConsoleHub) -> None:
    with chromium.new_context() as context:
        page = ConsolePage.of(context, f"http://{FAR}:{urlsplit(shown_hub.root).port}")
        page.sign_in("user", PASSWORD)
        assert page.tab.evaluate("window.isSecureContext") is False
        page.tab.click("form[action$='/sign-out'] button")
        page.tab.wait_for_url(f"{page.root}/console/sign-in")
        page.open()
        assert urlsplit(page.tab.url).path == "/console/sign-in"
