"""The pages of notifications over HTTP."""

import re
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, delete

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.infra.context import Context
from signalbox.notifications import channel_states, intake, listing, models, store
from signalbox.notifications.schemas import Attempt, MessageDetail, NewMessage
from tests.console.conftest import SignedIn, Visitor, add_user, services_of, told
from tests.support.databases import Place
from tests.support.hub import RunningHub, running_hub, settings_at

EVIL = "<img src=x onerror=alert(1)>"

SETTINGS = {
    "channels": [{"name": "chat", "kind": "webhook", "url": "https://chat.test/x"}],
    "routes": [{"name": "selling", "topic": ["sales", "sales.*"], "channels": ["chat"]}],
}


@pytest.fixture
async def hub(place: Place) -> AsyncIterator[RunningHub]:
    """A hub with one channel, to which nothing is sent: it is disabled."""
    async with running_hub(settings_at(place, notifications=SETTINGS)) as running:
        await add_user(running, "user", "user")
        await add_user(running, "manager", "manager")
        context = running.hub.context
        await context.db.write(channel_states.disable, "chat", reason="gone <b>", now=context.clock.now())
        yield running


def context_of(somebody: Visitor) -> Context:
    return somebody.hub.hub.context


async def make(somebody: Visitor, *, topic: str = "sales", text: str = "Hello", app: str = "shop") -> str:
    """A message whose delivery is dead at once."""
    context, notifications = context_of(somebody), services_of(somebody.hub).notifications
    new = NewMessage(topic, text, "api", app=app, customer=text, metadata={"who": text})
    accepted = await context.db.write(intake.accept, new, routing=notifications.routing, now=context.clock.now())
    return accepted.id


async def message(somebody: Visitor, id_: str) -> MessageDetail:
    return await context_of(somebody).db.read(listing.show_message, id_)


async def enable(somebody: Visitor) -> None:
    await context_of(somebody).db.write(channel_states.enable, "chat")


async def test_the_list_is_filtered_by_what_stands_in_the_address(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    assert "There are no messages yet" in await somebody.text("/notifications")
    one, other = await make(somebody), await make(somebody, topic="sales.big", app="billing")

    async def shown(query: str) -> list[str]:
        text = await somebody.text(f"/notifications/rows?{query}", htmx=True)
        return [each for each in (one, other) if each in text]

    assert await shown("") == [one, other]
    assert await shown("topic=SALES") == [one]
    assert await shown("app=billing") == [other]
    assert await shown("state=dead&channel=chat") == [one, other]
    assert await shown("state=sent") == []
    assert await shown("severity=critical") == []
    assert await shown("since=1h&customer=Hello") == [one, other]
    assert (await somebody.get("/notifications?state=lost")).status == 422


async def test_the_way_of_a_message_is_shown(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    id_ = await make(somebody)
    for path in (f"/notifications/messages/{id_}", f"/notifications/messages/{id_}/way"):
        text = await somebody.text(path)
        assert "selling" in text
        assert "No attempt yet." in text
        assert "hx-post" not in text
    assert (await somebody.get("/notifications/messages/nobody")).status == 404


async def test_attempts_are_shown_on_its_way_and_what_receivers_answer_stays_text(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    id_, context = await make(somebody), context_of(somebody)
    for tried in (
        Attempt(context.clock.now(), 250_000, "failed", 503, f"answer {EVIL}", f"error {EVIL}"),
        Attempt(context.clock.now(), 1_400_000, "refused", 429, "later", None),
    ):
        await context.db.write(store.insert_attempt, 1, "chat", tried)
    for path in (f"/notifications/messages/{id_}", f"/notifications/messages/{id_}/way"):
        text = await somebody.text(path)
        assert "No attempt yet." not in text
        assert re.search(r'data-state="bad">.*failed</span>.*>status 503, 250 ms</span>', text)
        assert re.search(r'data-state="warning">.*refused</span>.*>status 429, 1.4 s</span>', text)
        assert "error &lt;img src=x onerror=alert(1)&gt;: answer &lt;img" in text
        assert "<img" not in text


async def test_a_message_that_went_nowhere_leads_to_a_trial(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    id_ = await make(somebody)
    await context_of(somebody).db.write(forget_deliveries)
    text = await somebody.text(f"/notifications/messages/{id_}/way", htmx=True)
    assert "It went nowhere" in text
    assert '<a href="/console/notifications/try">Try out</a>' in text


def forget_deliveries(tx: Connection) -> None:
    tx.execute(delete(models.delivery))


async def test_a_dead_delivery_is_tried_again_and_it_is_audited(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    one, other = await make(somebody), await make(somebody)
    await enable(somebody)
    answer = await somebody.act(f"/notifications/messages/{one}/retry", channel="chat")
    assert told(answer)["toast"]["message"] == "sales is tried again on chat."
    assert (await message(somebody, one)).deliveries[0].state != "dead"
    again = await somebody.act(f"/notifications/messages/{one}/retry", channel="mail")
    assert (again.status, told(again)["toast"]["kind"]) == (409, "bad")
    many = await somebody.act("/notifications/retry", channel="chat", topic="")
    assert told(many)["toast"]["message"] == "1 delivery is tried again."
    assert (await message(somebody, other)).deliveries[0].state != "dead"
    none = await somebody.act("/notifications/retry", topic="nobody")
    assert told(none)["toast"]["kind"] == "warning"
    entries = await context_of(somebody).db.read(list_entries, wanted=AuditFilter(), limit=9)
    told_of = [each.target for each in entries if (each.actor, each.action) == ("user:manager", "notification.retry")]
    assert told_of == ["notification:*", "notification:*", f"notification:{one}"]


async def test_users_see_and_do_nothing(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    id_ = await make(somebody)
    pages = ("", "/channels", "/silences", f"/messages/{id_}")
    assert "hx-post" not in "".join([await somebody.text(f"/notifications{each}") for each in pages])
    for path in ("/retry", f"/messages/{id_}/retry", "/channels/chat/test", "/channels/chat/enable", "/silences"):
        assert (await somebody.act(f"/notifications{path}", topic="sales", reason="no")).status == 403
    assert (await message(somebody, id_)).deliveries[0].state == "dead"


async def test_what_outsiders_write_stays_text(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    id_ = await make(somebody, topic="sales.<img>", text=EVIL, app=EVIL)
    for path in ("/notifications", f"/notifications/messages/{id_}", "/notifications/channels"):
        text = await somebody.text(path)
        assert "<img" not in text
        assert "<b>" not in text
    assert "&lt;img" in await somebody.text("/notifications")
