"""Silences: what is not to be told for a time, by whom and why."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import Response

from signalbox.console.page import Route, action
from signalbox.console.visit import Visit, check
from signalbox.core.errors import Fault, UnprocessableError
from signalbox.core.text import NO_NUL
from signalbox.core.times import parse_span, to_datetime
from signalbox.notifications import silences
from signalbox.notifications.errors import InvalidSilenceError
from signalbox.notifications.routing import SEVERITIES
from signalbox.notifications.schemas import SilenceIn
from signalbox.notifications.settings import MatcherSettings, Severity

ROWS = 50
SPANS = (("1h", "1 hour"), ("4h", "4 hours"), ("1d", "1 day"), ("3d", "3 days"), ("7d", "1 week"), ("30d", "30 days"))

Word = Annotated[str | None, Field(max_length=300, pattern=NO_NUL)]


class Asked(BaseModel):
    """What stands in the address of the list."""

    ended: Literal["1"] | None = None
    cursor: Word = None


def _check_span(text: str) -> str:
    parse_span(text)
    return text


class NewSilence(BaseModel):
    """A silence as the form sends it."""

    topic: Annotated[str, Field(max_length=1_000, pattern=NO_NUL)] = "*"
    severity: Severity = "info"
    app: Word = None
    metadata: Word = None
    """``path=value``."""
    span: Annotated[str, Field(max_length=20), AfterValidator(_check_span)] = "1h"
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL, validate_default=True)] = ""

    def to_silence(self, now: int) -> SilenceIn:
        """The same for the service.

        Raises:
            UnprocessableError: something in it means nothing; ``faults`` names the fields.
        """
        values = {
            "topic": [each for each in re.split(r"[\s,]+", self.topic.strip()) if each] or ["*"],
            "severity": self.severity,
            "app": self.app,
            "metadata": {} if self.metadata is None else _pairs(self.metadata),
        }
        matcher = check(MatcherSettings, values)
        return SilenceIn(matcher=matcher, ends_at=to_datetime(now + parse_span(self.span)), reason=self.reason)


async def show(visit: Visit) -> Response:
    """All silences; htmx gets the table alone."""
    found = await _silences(visit)
    template = "notifications/_silences.html" if visit.is_fragment else "notifications/silences.html"
    return visit.render(template, **found, **_form())


async def add(visit: Visit) -> Response:
    """Make a silence."""
    sent = {name: str(value) for name, value in (await visit.form()).items()}
    now = visit.now
    try:
        wanted = (await visit.parse(NewSilence)).to_silence(now)
        await visit.services.context.db.write(
            silences.add_silence, wanted, author=visit.actor, now=now, request_id=visit.request_id
        )
    except InvalidSilenceError as error:
        return visit.render("notifications/_silence.html", status=422, **_form(sent, {"topic": str(error)}))
    except UnprocessableError as error:
        errors = {fault.where.partition(".")[0]: fault.message for fault in error.faults}
        return visit.render("notifications/_silence.html", status=422, **_form(sent, errors))
    return visit.done("The silence is on.", location="/notifications/silences")


async def end(visit: Visit) -> Response:
    """End a silence now."""
    number = visit.number("silence")
    found = await visit.services.context.db.write(
        silences.end_silence, number, actor=visit.actor, now=visit.now, request_id=visit.request_id
    )
    return visit.done(f"Silence {found.id} has ended.", "tick", "notifications")


async def _silences(visit: Visit) -> dict[str, Any]:
    asked = check(Asked, visit.query)
    page = await visit.services.context.db.read(
        silences.list_silences, active=asked.ended is None, now=visit.now, limit=ROWS, cursor=asked.cursor
    )
    return {"silences": page.items, "next_cursor": page.next_cursor}


def _form(sent: dict[str, str] | None = None, errors: dict[str, str] | None = None) -> dict[str, Any]:
    return {"sent": sent or {}, "errors": errors or {}, "severities": SEVERITIES, "spans": SPANS}


def _pairs(text: str) -> dict[str, str]:
    path, mark, value = text.partition("=")
    if not mark or not path.strip():
        raise UnprocessableError([Fault("metadata", "is no path=value, such as region=north")])
    return {path.strip(): value.strip()}


ROUTES = (
    Route("/notifications/silences", show),
    action("/notifications/silences", add),
    action("/notifications/silences/{number}/end", end),
)
