"""Criticality: what a signal stands at, who hears of it, and who does not."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field
from starlette.responses import Response

from signalbox.console.levels import HEIGHT, draw_steps
from signalbox.console.page import Page, Route, action
from signalbox.console.visit import Visit, check
from signalbox.core.errors import UnprocessableError
from signalbox.core.text import NO_NUL
from signalbox.core.times import DAY, HOUR, to_datetime
from signalbox.criticality.errors import InvalidSignalError
from signalbox.criticality.schemas import LevelByHand, NewConsumer, SignalOut, State
from signalbox.criticality.service import consumers, overview
from signalbox.criticality.service.override import set_level
from signalbox.criticality.service.report import Report
from signalbox.criticality.settings import DEFAULT_SIGNAL, is_signal

ROWS: Final = 50
HISTORY_ROWS: Final = 20
BARS: Final = 8
STEPS: Final = 300
SPANS: Final[Mapping[str, tuple[str, int]]] = MappingProxyType(
    {"1h": ("1 hour", HOUR), "24h": ("24 hours", DAY), "7d": ("7 days", 7 * DAY), "30d": ("30 days", 30 * DAY)}
)
"""Periods by what stands in the address: title and microseconds."""
STATES: Final = (
    ("", "any"),
    ("seen", "asks"),
    ("silent", "silent"),
    ("unseen", "never asked"),
    ("muted", "muted"),
    ("retired", "retired"),
)

Word = Annotated[str | None, Field(max_length=200, pattern=NO_NUL)]


class Asked(BaseModel):
    """What stands in the address."""

    signal: Annotated[str, Field(max_length=64)] = DEFAULT_SIGNAL
    period: str = "24h"
    state: State | None = None
    cursor: Word = None
    """Of the consumers."""
    before: Word = None
    """Of the history."""

    @property
    def span(self) -> tuple[str, int]:
        """Title and length of the period; one that does not exist is the default one."""
        return SPANS.get(self.period, SPANS["24h"])


class Muting(BaseModel):
    """Which consumer, and whether its silence is passed over."""

    app: Annotated[str, Field(min_length=1, max_length=100)]
    signal: str = DEFAULT_SIGNAL
    muted: bool = True


class Retiring(BaseModel):
    """Which consumer is expected no more."""

    app: Annotated[str, Field(min_length=1, max_length=100)]
    signal: str = DEFAULT_SIGNAL


async def show(visit: Visit) -> Response:
    """The whole page."""
    found = await asyncio.gather(_level(visit), _consumers(visit), _asks(visit), _history(visit))
    values: dict[str, Any] = {}
    for each in found:
        values |= each
    return visit.render("criticality/index.html", **values)


async def show_level(visit: Visit) -> Response:
    """Gauge and steps alone."""
    return visit.render("criticality/_level.html", **await _level(visit))


async def show_consumers(visit: Visit) -> Response:
    """The table of consumers alone."""
    return visit.render("criticality/_consumers.html", **await _consumers(visit))


async def show_asks(visit: Visit) -> Response:
    """Who asks how often, alone."""
    return visit.render("criticality/_asks.html", **await _asks(visit))


async def show_history(visit: Visit) -> Response:
    """The reports alone."""
    return visit.render("criticality/_history.html", **await _history(visit))


async def set_by_hand(visit: Visit) -> Response:
    """Set a level; where that is refused, the form says which field is wrong."""
    sent = {name: str(value) for name, value in (await visit.form()).items()}
    runtime, name = visit.services.criticality, sent.get("signal", "").strip() or DEFAULT_SIGNAL
    try:
        fields = {key: sent[key] for key in ("level", "reason") if sent.get(key)}
        wanted = check(LevelByHand, fields)
        outcome = await visit.services.context.db.write(
            set_level,
            Report(name, wanted.level, visit.now, visit.actor, wanted.reason),
            settings=runtime.settings,
            announce=runtime.announce,
            now=visit.now,
            request_id=visit.request_id,
        )
    except UnprocessableError as error:
        faults = {fault.where: fault.message for fault in error.faults}
        return visit.render("criticality/_set.html", status=422, **_form(visit, name, sent, faults))
    except InvalidSignalError as error:
        return visit.render("criticality/_set.html", status=422, **_form(visit, name, sent, {"signal": str(error)}))
    return visit.done(f"{name} stands at {outcome.current.level}.", "criticality", "audit")


async def expect(visit: Visit) -> Response:
    """Expect an app to ask; where that is refused, the form says which field is wrong."""
    sent = {name: str(value) for name, value in (await visit.form()).items()}
    try:
        fields = {key: value.strip() for key in ("app", "signal", "interval") if (value := sent.get(key, "")).strip()}
        wanted = check(NewConsumer, fields)
        made = await visit.services.context.db.write(
            consumers.register, wanted, actor=visit.actor, now=visit.now, request_id=visit.request_id
        )
    except UnprocessableError as error:
        faults = {fault.where: fault.message for fault in error.faults}
        name = sent.get("signal", "")
        return visit.render("criticality/_expect.html", status=422, **_form(visit, name, sent, faults))
    return visit.done(f"{made.app} is expected to ask.", "criticality", "audit")


async def mute(visit: Visit) -> Response:
    """Pass over the silence of a consumer, or mind it again."""
    wanted = await visit.parse(Muting)
    await visit.services.context.db.read(consumers.read_consumer, wanted.app, wanted.signal, now=visit.now)
    new = check(NewConsumer, {"app": wanted.app, "signal": wanted.signal, "muted": wanted.muted})
    made = await visit.services.context.db.write(
        consumers.register, new, actor=visit.actor, now=visit.now, request_id=visit.request_id
    )
    told = "is muted: nobody is told of its silence" if wanted.muted else "is minded again"
    return visit.done(f"{made.app} {told}.", "criticality", "audit")


async def retire(visit: Visit) -> Response:
    """Expect a consumer no more."""
    wanted = await visit.parse(Retiring)
    await visit.services.context.db.write(
        consumers.retire, wanted.app, wanted.signal, actor=visit.actor, now=visit.now, request_id=visit.request_id
    )
    return visit.done(f"{wanted.app} is retired.", "criticality", "audit")


async def _level(visit: Visit) -> dict[str, Any]:
    asked, db = _asked(visit), visit.services.context.db
    scale = visit.services.criticality.settings
    title, length = asked.span
    signals = await db.read(consumers.list_signals)
    since, until = visit.now - length, visit.now + 1
    steps = await db.read(overview.list_steps, asked.signal, since=since, until=until, most=STEPS)
    drawn = draw_steps(
        steps, lowest=scale.lowest, highest=scale.highest, since=to_datetime(since), until=to_datetime(until)
    )
    chosen = next((each for each in signals if each.signal == asked.signal), None)
    return {
        **_form(visit, asked.signal),
        "signals": _with_default(signals),
        "signal": chosen,
        "steps": steps,
        "drawn": drawn,
        "height": HEIGHT,
        "title": title,
        "period": asked.period,
        "spans": SPANS,
    }


async def _consumers(visit: Visit) -> dict[str, Any]:
    asked = _asked(visit)
    page = await visit.services.context.db.read(
        consumers.list_consumers,
        name=asked.signal,
        state=asked.state,
        cursor=asked.cursor,
        limit=ROWS,
        now=visit.now,
    )
    return {"consumers": page.items, "next_cursor": page.next_cursor, "states": STATES, "name": asked.signal}


async def _asks(visit: Visit) -> dict[str, Any]:
    asked = _asked(visit)
    title, length = asked.span
    found = await visit.services.context.calls_db.read(
        overview.list_app_asks, name=asked.signal, since=visit.now - length, until=visit.now, limit=BARS
    )
    return {"asks": found, "title": title, "name": asked.signal}


async def _history(visit: Visit) -> dict[str, Any]:
    asked = _asked(visit)
    page = await visit.services.context.db.read(
        consumers.list_changes, asked.signal, cursor=asked.before, limit=HISTORY_ROWS
    )
    scale = visit.services.criticality.settings
    return {"changes": page.items, "older": page.next_cursor, "scale": scale, "name": asked.signal}


def _asked(visit: Visit) -> Asked:
    """What stands in the address.

    Raises:
        UnprocessableError: something in it means nothing.
        InvalidSignalError: the signal's name is none.
    """
    asked = check(Asked, visit.query)
    if not is_signal(asked.signal):
        msg = f"{asked.signal!r} is no name of a signal"
        raise InvalidSignalError(msg)
    return asked


def _form(
    visit: Visit, name: str, sent: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None
) -> dict[str, Any]:
    scale = visit.services.criticality.settings
    return {"name": name, "sent": sent or {}, "errors": errors or {}, "scale": scale}


def _with_default(signals: list[SignalOut]) -> list[str]:
    names = {each.signal for each in signals} | {DEFAULT_SIGNAL}
    return sorted(names, key=lambda name: (name != DEFAULT_SIGNAL, name))


PAGE = Page(
    name="criticality",
    path="/criticality",
    title="Criticality",
    icon="criticality",
    routes=(
        Route("/criticality", show),
        Route("/criticality/level", show_level),
        Route("/criticality/consumers", show_consumers),
        Route("/criticality/asks", show_asks),
        Route("/criticality/history", show_history),
        action("/criticality/level", set_by_hand),
        action("/criticality/consumers", expect),
        action("/criticality/consumers/mute", mute),
        action("/criticality/consumers/retire", retire),
    ),
)
