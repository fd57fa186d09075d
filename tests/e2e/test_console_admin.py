"""The pages of administration in a real browser."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from signalbox.auth import service, users
from signalbox.auth.audit import record
from signalbox.auth.scopes import Role
from tests.support.browser import ConsolePage, check_page
from tests.support.console_hub import ConsoleHub
from tests.support.processes import ask

Open = Callable[[Role], ConsolePage]

pytestmark = pytest.mark.timeout(180)

EVIL = "<img src=x onerror=alert(1)>"
LONG = "a long password"


def note(tx: Connection, *, at: int) -> None:
    """An entry as an app with a strange name may cause it."""
    record(
        tx,
        actor=f"app:{EVIL}",
        action="lamp.switch",
        target=EVIL,
        before=None,
        after={EVIL: EVIL},
        at=at,
        request_id=None,
    )


def make_token(hub: ConsoleHub, app: str) -> int:
    write = hub.hub.context.db.write
    issued = hub.call(
        lambda: write(
            service.create_token, app=app, scopes=["gateway"], expires_at=None, actor=f"cli:{EVIL}", at=hub.now()
        )
    )
    return issued.token.id


@pytest.mark.parametrize("role", ["user", "manager"])
def test_the_pages_are_as_every_page_must_be(console_page: Open, shown_hub: ConsoleHub, role: Role) -> None:
    make_token(shown_hub, EVIL)
    shown_hub.call(lambda: shown_hub.hub.context.db.write(note, at=shown_hub.now()))
    page = console_page(role)
    paths = ("/admin/users", "/admin/users/user", "/admin/tokens?show=all", "/admin/audit")
    for path in paths if role == "manager" else ():
        page.open(path)
        page.wait_live()
        check_page(page)
    page.open("/admin/system?show=all")
    check_page(page)


def test_a_manager_adds_disables_and_enables_a_user(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("manager")
    page.open("/admin/users")
    page.wait_live()
    page.tab.fill("#field-name", "anna")
    page.tab.fill("#field-password", "short")
    page.tab.click("#add-user >> text=Add")
    page.tab.wait_for_selector("#add-user [aria-invalid=true]")
    page.tab.fill("#field-password", LONG)
    page.tab.click("#add-user >> text=Add")
    page.tab.wait_for_selector("#toasts >> text=anna (user) can sign in")
    page.tab.click("#rows >> text=anna")
    page.tab.wait_for_url("**/admin/users/anna")
    page.wait_live()
    page.tab.click("text=Disable")
    page.tab.evaluate("document.body.dispatchEvent(new CustomEvent('live:audit'))")
    page.tab.wait_for_timeout(300)  # in which the part with the button would have been exchanged under the question
    page.tab.click("#confirm button[value=yes]")
    page.tab.wait_for_selector("#toasts >> text=anna is disabled")
    page.tab.wait_for_selector("#state .pill:has-text('disabled')")
    read = shown_hub.hub.context.db.read
    assert shown_hub.call(lambda: read(users.get_user, name="anna")).disabled_at is not None
    page.tab.click("#state >> text=Enable")
    page.tab.wait_for_selector("#state .pill:has-text('active')")
    assert shown_hub.call(lambda: read(users.get_user, name="anna")).disabled_at is None
    page.errors.clear()  # the browser tells of the refused password


def test_a_manager_makes_and_revokes_a_token(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("manager")
    page.open("/admin/tokens")
    page.wait_live()
    page.tab.fill("#field-app", "brand-new-app")
    page.tab.check("input[value=gateway]")
    page.tab.check("input[value='tasks:read']")
    page.tab.click("text=Make the token")
    text = page.tab.inner_text("#made")
    assert ask(f"{shown_hub.root}/auth/me", headers={"Token": text}).status == 200
    page.tab.click("#toasts >> text=Close")  # it may lie over a button, which axe minds
    check_page(page)
    page.tab.wait_for_selector("#rows >> text=brand-new-app")
    page.tab.click("#rows tr:has-text('brand-new-app') >> text=Revoke")
    page.tab.click("#confirm button[value=yes]")
    page.tab.wait_for_selector("#toasts >> text=is revoked")
    page.tab.wait_for_selector("#rows:not(:has-text('brand-new-app'))")
    tokens = shown_hub.call(lambda: shown_hub.hub.context.db.read(service.list_tokens))
    (made,) = [token for token in tokens if token.app == "brand-new-app"]
    assert (made.scopes, made.revoked_at is None) == (["gateway", "tasks:read"], False)
    page.open("/admin/tokens")
    assert text not in page.tab.content()


def test_a_change_appears_in_the_trail_without_a_reload(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("manager")
    page.open("/admin/audit?action=token.create")
    page.wait_live()
    page.tab.evaluate("window.kept = true")
    number = make_token(shown_hub, "watched")
    page.tab.wait_for_selector(f"#rows >> text=token:{number}")
    assert page.tab.evaluate("window.kept") is True


def test_a_manager_sets_a_password_and_a_role(console_page: Open, shown_hub: ConsoleHub) -> None:
    read = shown_hub.hub.context.db.read
    page = console_page("manager")
    page.open("/admin/users")
    page.wait_live()
    page.tab.fill("#field-name", "berta")
    page.tab.fill("#field-password", LONG)
    page.tab.click("#add-user >> text=Add")
    page.tab.wait_for_selector("#toasts >> text=berta (user) can sign in")
    before = shown_hub.call(lambda: read(users.get_user, name="berta"))
    page.open("/admin/users/berta")
    page.wait_live()
    page.tab.fill("#new-password input", LONG[::-1])
    page.tab.click("#new-password button[type=submit]")
    page.tab.wait_for_selector("#toasts .toast")
    after = shown_hub.call(lambda: read(users.get_user, name="berta"))
    assert after.password_changed_at > before.password_changed_at
    page.tab.click("#state >> text=Make a manager")
    page.tab.click("#confirm button[value=yes]")
    page.tab.wait_for_selector("#state dd:has-text('manager')")
    assert shown_hub.call(lambda: read(users.get_user, name="berta")).role == "manager"
