"""Notifications: what was to be told, where it went, and what kept it."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field
from starlette.responses import Response

from signalbox.console.page import Page, Route, action
from signalbox.console.pages import notification_channels, notification_silences, notification_trials
from signalbox.console.visit import Visit, check
from signalbox.core.text import NO_NUL
from signalbox.core.times import parse_span
from signalbox.notifications import listing, service
from signalbox.notifications.listing import MessageFilter
from signalbox.notifications.routing import SEVERITIES
from signalbox.notifications.schemas import MessageOut, RetryIn, State
from signalbox.notifications.service import MAX_RETRIED, Hand
from signalbox.notifications.settings import Severity

ROWS = 50
STATES: tuple[State, ...] = get_args(State)

Word = Annotated[str | None, Field(max_length=300, pattern=NO_NUL)]


class Asked(BaseModel):
    """What stands in the address of the list."""

    topic: Word = None
    state: State | None = None
    channel: Word = None
    severity: Severity | None = None
    app: Word = None
    customer: Word = None
    since: Literal["1h", "1d", "7d"] | None = None
    cursor: Word = None

    def to_filter(self, now: int) -> MessageFilter:
        """The same for the service."""
        return MessageFilter(
            topic=None if self.topic is None else self.topic.strip().lower(),
            state=self.state,
            channel=self.channel,
            severity=self.severity,
            app=self.app,
            customer=self.customer,
            since=None if self.since is None else now - parse_span(self.since),
        )


async def show(visit: Visit) -> Response:
    """The whole page."""
    return visit.render("notifications/index.html", **await _rows(visit))


async def show_rows(visit: Visit) -> Response:
    """The table alone."""
    return visit.render("notifications/_rows.html", **await _rows(visit))


async def show_message(visit: Visit) -> Response:
    """One message and its way."""
    return visit.render("notifications/message.html", **await _message(visit))


async def show_way(visit: Visit) -> Response:
    """The way of one message, alone."""
    return visit.render("notifications/_way.html", **await _message(visit))


async def retry(visit: Visit) -> Response:
    """Try the dead deliveries of a message again, or the one to a channel."""
    wanted = await visit.parse(RetryIn)
    found = await visit.services.context.db.write(
        service.retry_message, visit.path["id"], channel=wanted.channel, hand=_hand(visit)
    )
    return visit.done(
        f"{found.topic} is tried again{f' on {wanted.channel}' if wanted.channel else ''}.", "notifications"
    )


async def retry_many(visit: Visit) -> Response:
    """Try dead deliveries again: those of a channel or a topic, or all."""
    wanted = await visit.parse(RetryIn)
    count = (await visit.services.context.db.write(service.retry_many, wanted, hand=_hand(visit))).retried
    if not count:
        return visit.done("No such delivery is dead.", "notifications", "tick", kind="warning")
    more = "; press again for more" if count == MAX_RETRIED else ""
    deliveries = "1 delivery is" if count == 1 else f"{count:,} deliveries are"
    return visit.done(f"{deliveries} tried again{more}.", "notifications", "tick")


async def _rows(visit: Visit) -> dict[str, Any]:
    asked = check(Asked, visit.query)
    page = await visit.services.context.db.read(
        listing.list_messages, asked.to_filter(visit.now), limit=ROWS, cursor=asked.cursor
    )
    return {
        "messages": page.items,
        "next_cursor": page.next_cursor,
        "can_replay": any(_is_dead(each) for each in page.items),
        "states": STATES,
        "severities": SEVERITIES,
        "channels": list(visit.services.notifications.channels),
    }


def _is_dead(of: MessageOut) -> bool:
    return any(each.state == "dead" for each in of.deliveries)


async def _message(visit: Visit) -> dict[str, Any]:
    found = await visit.services.context.db.read(listing.show_message, visit.path["id"])
    return {"message": found}


def _hand(visit: Visit) -> Hand:
    return Hand(visit.actor, visit.now, visit.request_id)


PAGE = Page(
    name="notifications",
    path="/notifications",
    title="Notifications",
    icon="notifications",
    routes=(
        Route("/notifications", show),
        Route("/notifications/rows", show_rows),
        Route("/notifications/messages/{id}", show_message),
        Route("/notifications/messages/{id}/way", show_way),
        action("/notifications/messages/{id}/retry", retry),
        action("/notifications/retry", retry_many),
        *notification_channels.ROUTES,
        *notification_trials.ROUTES,
        *notification_silences.ROUTES,
    ),
)
