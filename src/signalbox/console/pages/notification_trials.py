"""Trying out: where a message would go and why, and what a channel would make of it. Nothing is sent."""

import asyncio
import json
from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator
from starlette.responses import Response

from signalbox.console.page import Route
from signalbox.console.visit import Visit, check
from signalbox.core.errors import SignalboxError, UnprocessableError
from signalbox.core.text import NO_NUL
from signalbox.notifications.routing import SEVERITIES
from signalbox.notifications.schemas import MAX_TOPIC, PreviewIn, PreviewOut, RouteTestIn
from signalbox.notifications.settings import Severity

Word = Annotated[str | None, Field(max_length=300, pattern=NO_NUL)]

LONGEST = 2_000
"""Characters of a description that is tried out: it stands in the address."""


class Trial(BaseModel):
    """A message that nobody has sent, as it stands in the address."""

    topic: Annotated[str, Field(max_length=MAX_TOPIC, pattern=NO_NUL)]
    severity: Severity = "info"
    app: Word = None
    customer: Word = None
    dedup_key: Word = None
    metadata: dict[str, Any] = {}
    channel: Word = None
    description: Annotated[str, Field(max_length=LONGEST, pattern=NO_NUL)] = "An example."

    @field_validator("metadata", mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except (ValueError, RecursionError):
            msg = 'is no JSON object; write one such as {"region": "north"}'
            raise ValueError(msg) from None


async def show(visit: Visit) -> Response:
    """The form, and what comes of what it was filled with."""
    values: dict[str, Any] = {"found": None, "look": None, "problem": None, "errors": {}}
    if "topic" in visit.query:
        try:
            trial = check(Trial, visit.query)
            values |= await _try(visit, trial)
        except UnprocessableError as error:
            values["errors"] = {fault.where: fault.message for fault in error.faults}
    channels = visit.services.notifications.channels
    return visit.render("notifications/try.html", channels=list(channels), severities=SEVERITIES, **values)


async def _try(visit: Visit, trial: Trial) -> dict[str, Any]:
    shared = trial.model_dump(include=set(RouteTestIn.model_fields))
    try:
        found = await visit.services.notifications.try_route(RouteTestIn.model_validate(shared))
        look = await _look(visit, trial, shared, [each.channel for each in found.ways])
    except SignalboxError as error:
        return {"problem": str(error)}
    return {"found": found, "look": look}


async def _look(visit: Visit, trial: Trial, shared: dict[str, Any], ways: list[str]) -> PreviewOut | None:
    """The message as the channel shows it that was asked for, else the first that it goes to."""
    channel = trial.channel or next(iter(ways), None)
    if channel is None:
        return None
    wanted = PreviewIn.model_validate({**shared, "channel": channel, "description": trial.description})
    return await asyncio.to_thread(visit.services.notifications.preview, wanted)


ROUTES = (Route("/notifications/try", show),)
