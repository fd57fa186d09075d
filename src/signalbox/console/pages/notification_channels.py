"""Channels: how each does, and a message to try it."""

from starlette.responses import Response

from signalbox.console.formats import seconds
from signalbox.console.page import Route, action
from signalbox.console.visit import Visit
from signalbox.notifications.service import Hand


async def show(visit: Visit) -> Response:
    """All channels; htmx gets the table alone."""
    found = await visit.services.notifications.show_channels()
    template = "notifications/_channels.html" if visit.is_fragment else "notifications/channels.html"
    return visit.render(template, channels=found)


async def send_test(visit: Visit) -> Response:
    """Send a test message now, and say what came of it."""
    name = visit.path["name"]
    found = await visit.services.notifications.test_channel(name, hand=_hand(visit))
    if found.sent:
        answer = "" if found.status is None else f" with {found.status}"
        return visit.done(f"{name} took the test message{answer} after {seconds(found.seconds)}.", "tick")
    reason = found.error or found.excerpt or f"status {found.status}"
    return visit.done(f"{name} did not take the test message: {reason}", "tick", kind="bad")


async def enable(visit: Visit) -> Response:
    """Send through a channel again."""
    name = visit.path["name"]
    await visit.services.notifications.enable_channel(name, hand=_hand(visit))
    return visit.done(f"{name} is sent to again. What had died stays dead until it is tried again.", "tick")


def _hand(visit: Visit) -> Hand:
    return Hand(visit.actor, visit.now, visit.request_id)


ROUTES = (
    Route("/notifications/channels", show),
    action("/notifications/channels/{name}/test", send_test),
    action("/notifications/channels/{name}/enable", enable),
)
