"""The pages of notifications in a real browser."""

from collections.abc import Callable

import pytest

from signalbox.auth.scopes import Role
from signalbox.notifications import channel_states, intake, listing, silences
from signalbox.notifications.runtime import NotificationRuntime
from signalbox.notifications.schemas import MessageDetail, NewMessage, SilenceOut
from tests.support.browser import ConsolePage, check_page
from tests.support.console_hub import ConsoleHub
from tests.support.processes import until

Open = Callable[[Role], ConsolePage]

EVIL = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.timeout(180)


def make(hub: ConsoleHub, *, topic: str = "weather", app: str = "shop") -> str:
    """A message that goes to the channel on-call."""
    runtime = next(each.runtime for each in hub.hub.features if isinstance(each.runtime, NotificationRuntime))
    new = NewMessage(topic, EVIL, "api", app=app, customer=EVIL, metadata={"who": EVIL})
    return hub.call(
        lambda: hub.hub.context.db.write(
            intake.accept, new, routing=runtime.routing, now=hub.now(), handover=runtime.handover
        )
    ).id


def message(hub: ConsoleHub, id_: str) -> MessageDetail:
    return hub.call(lambda: hub.hub.context.db.read(listing.show_message, id_))


def active(hub: ConsoleHub) -> list[SilenceOut]:
    read = hub.hub.context.db.read
    return hub.call(lambda: read(silences.list_silences, active=True, now=hub.now(), limit=9)).items


def agree(page: ConsolePage) -> None:
    """Say yes to the question."""
    page.tab.click("#confirm button[value=yes]")


@pytest.mark.parametrize("role", ["user", "manager"])
def test_the_pages_are_as_every_page_must_be(console_page: Open, shown_hub: ConsoleHub, role: Role) -> None:
    id_ = make(shown_hub, app=EVIL)
    until(lambda: message(shown_hub, id_).deliveries[0].state == "sent")
    page = console_page(role)
    page.open("/notifications")
    page.wait_live()
    assert EVIL in page.tab.inner_text("#rows")
    check_page(page)
    page.open(f"/notifications/messages/{id_}")
    assert EVIL in page.tab.inner_text("#main")
    check_page(page)


@pytest.mark.parametrize("path", ["/channels", "/silences", "/try?topic=weather&description=%3Cimg+src%3Dx%3E"])
def test_the_parts_are_as_every_page_must_be(console_page: Open, path: str) -> None:
    page = console_page("manager")
    page.open(f"/notifications{path}")
    page.wait_live()
    check_page(page)


def test_a_message_appears_without_a_reload(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("user")
    page.open("/notifications?app=live")
    page.wait_live()
    id_ = make(shown_hub, app="live")
    page.tab.wait_for_selector(f"#rows a[href$='{id_}']")
    page.tab.wait_for_selector("#rows .pill >> text=on-call sent")


def test_what_is_dead_is_tried_again_and_the_page_follows(console_page: Open, shown_hub: ConsoleHub) -> None:
    write = shown_hub.hub.context.db.write
    shown_hub.call(lambda: write(channel_states.disable, "on-call", reason=EVIL, now=shown_hub.now()))
    id_ = make(shown_hub, app="dead")
    page = console_page("manager")
    page.open("/notifications/channels")
    row = "#channels tr:has-text('on-call')"
    assert EVIL in page.tab.inner_text(row)
    page.tab.click(f"{row} >> text=Enable")
    page.tab.wait_for_selector(f"{row} .pill >> text=ok")
    page.open(f"/notifications/messages/{id_}")
    page.wait_live()
    page.tab.click("#way >> text=Try again")
    page.tab.wait_for_selector(".toast >> text=weather is tried again on on-call.")
    page.tab.wait_for_selector("#way .pill >> text=sent")
    assert message(shown_hub, id_).deliveries[0].state == "sent"


def test_a_test_message_arrives_outside(console_page: Open, shown_hub: ConsoleHub) -> None:
    before = len(shown_hub.world.slack.messages)
    page = console_page("manager")
    page.open("/notifications/channels")
    page.tab.click("#channels tr:has-text('sales-chat') >> text=Send a test")
    page.tab.wait_for_selector(".toast >> text=sales-chat took the test message")
    assert len(shown_hub.world.slack.messages) == before + 1


def test_a_silence_is_made_and_ended(console_page: Open, shown_hub: ConsoleHub) -> None:
    page = console_page("manager")
    page.open("/notifications/silences")
    page.tab.click("text=New silence")
    page.tab.fill("#field-reason", EVIL)
    page.tab.click("#new-silence button[type=submit]")
    page.tab.wait_for_selector("#about-topic .error")
    page.tab.fill("#field-topic", "noise.*")
    page.tab.click("#new-silence button[type=submit]")
    page.tab.wait_for_selector("#silences .pill >> text=on")
    assert [each.matcher.topic for each in active(shown_hub)] == [["noise.*"]]
    assert EVIL in page.tab.inner_text("#silences")
    page.tab.click("#silences button:has-text('End')")
    agree(page)
    page.tab.wait_for_selector("text=Nothing is silenced")
    assert active(shown_hub) == []


def test_a_message_is_tried_out(console_page: Open) -> None:
    page = console_page("user")
    page.open("/notifications/try")
    page.tab.fill("#field-topic", "sales")
    page.tab.fill("#field-description", EVIL)
    page.tab.click("#trial button[type=submit]")
    page.tab.wait_for_selector("#trial >> text=What sales-chat would show")
    assert "topic=sales" in page.tab.url
    assert EVIL in page.tab.inner_text("#trial pre")


def test_dead_deliveries_are_tried_again(console_page: Open, shown_hub: ConsoleHub) -> None:
    write = shown_hub.hub.context.db.write
    shown_hub.call(lambda: write(channel_states.disable, "on-call", reason="gone", now=shown_hub.now()))
    one, other = make(shown_hub, topic="weather.dead"), make(shown_hub, topic="weather.dead")
    assert {message(shown_hub, each).deliveries[0].state for each in (one, other)} == {"dead"}
    shown_hub.call(lambda: write(channel_states.enable, "on-call"))
    page = console_page("manager")
    page.open(f"/notifications/messages/{one}")
    page.wait_live()
    page.tab.get_by_role("button", name="Try again").click()
    until(lambda: message(shown_hub, one).deliveries[0].state == "sent")
    page.tab.wait_for_selector(".pill >> text=sent")
    page.open("/notifications?topic=weather.dead&state=dead")
    page.wait_live()
    page.tab.get_by_role("button", name="Try again").click()
    agree(page)
    page.tab.wait_for_selector("#rows >> text=No message")
    until(lambda: message(shown_hub, other).deliveries[0].state == "sent")
