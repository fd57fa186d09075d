"""Trying a message out over HTTP."""

from urllib.parse import urlencode

import pytest

from signalbox.notifications import channel_states, listing
from signalbox.notifications.listing import MessageFilter
from tests.console.conftest import SignedIn, Visitor
from tests.console.pages.test_notifications import EVIL, context_of, enable, hub

__all__ = ["hub"]


async def tried(somebody: Visitor, **values: str) -> str:
    return await somebody.text(f"/notifications/try?{urlencode(values)}")


async def test_the_way_and_the_look_of_a_message_are_shown_and_nothing_is_kept(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    assert "Nothing tried yet" in await somebody.text("/notifications/try")
    assert "the channel is disabled" in await tried(somebody, topic="sales")
    await enable(somebody)
    text = await tried(somebody, topic="Sales", description="Come quickly", metadata='{"a": 1}')
    assert "sent at once" in text
    assert "Come quickly" in text
    assert "What chat would show" in text
    page = await context_of(somebody).db.read(listing.list_messages, MessageFilter(), limit=1)
    assert page.items == []


async def test_what_would_be_refused_says_why(signed_in: SignedIn) -> None:
    text = await tried(await signed_in("user"), topic="weather")
    assert "Where it would go" in text
    assert 'data-state="bad"' in text


@pytest.mark.parametrize("metadata", ["[1]", "{", "1"])
async def test_a_field_that_is_wrong_says_so(signed_in: SignedIn, metadata: str) -> None:
    assert 'aria-invalid="true"' in await tried(await signed_in("user"), topic="sales", metadata=metadata)


async def test_what_is_tried_stays_text(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    context = context_of(somebody)
    await context.db.write(channel_states.enable, "chat")
    text = await tried(somebody, topic="sales", description=EVIL, app=EVIL, customer=EVIL)
    assert "<img" not in text
    assert "&lt;img" in text
