"""``signalbox demo --fast-forward``: a day that the hub has behind it when it begins to serve."""

import contextlib
import logging
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from signalbox.app.demo_replay import PastClock, Replay, past_context
from signalbox.app.demo_story import CONSUMERS, SIGNAL, Story
from signalbox.app.demo_tasks import PastTasks
from signalbox.app.hub import open_context
from signalbox.app.settings import Settings
from signalbox.core.secrets import Secret
from signalbox.core.times import DAY, HOUR, MINUTE
from signalbox.criticality import consumer_store, store
from signalbox.criticality.consumer_store import Asked
from signalbox.criticality.runtime import CriticalityRuntime
from signalbox.criticality.service import rules
from signalbox.criticality.store import MinuteAsks
from signalbox.gateway.recorder import Recorder
from signalbox.gateway.rollup import WAIT, roll_up_hours
from signalbox.infra.clock import Clock
from signalbox.infra.context import Context
from signalbox.infra.jobs import Job, Kind, Outcome
from signalbox.notifications.events import build_subscriber
from signalbox.notifications.job_names import deliver_kind
from signalbox.notifications.runtime import NotificationRuntime
from signalbox.notifications.settings import NotificationSettings
from signalbox.sandbox.mail import MailServer
from signalbox.sandbox.past_calls import Span, calls
from signalbox.sandbox.receiver import ReceiverApp
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.slack import SlackApp
from signalbox.tasks.runtime import TasksRuntime

CALLS_A_SECOND: Final = 4.0
"""On average; the live demo makes more."""
ASKS_A_MINUTE: Final = 30
"""Of each consumer."""

_OUTAGE: Final = 12 * MINUTE
_ILL: Final = "on-call"
"""The channel that has a bad day."""


async def load_day(settings: Settings, console: Console, *, rate: float = CALLS_A_SECOND) -> Span:
    """Fill the last whole hours, at least a day of them, up to now; the outage of the shop within. Nothing serves yet.

    ``rate``: calls a second on average.
    """
    async with open_context(settings) as context:
        now = context.clock.now()
        day = Span((now - DAY) // HOUR * HOUR, now)
        begins = (day.begins + (now - day.begins) * 2 // 3) // MINUTE * MINUTE
        outage = Span(begins, begins + _OUTAGE)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            await _load_calls(context, day, outage, bar, rate=rate)
            with _quiet():
                await _play(context, settings, day, outage, bar)
        await context.calls_db.write(roll_up_hours, now=now + WAIT, limit=2 * DAY // HOUR)
        return outage


async def _load_calls(context: Context, day: Span, outage: Span, bar: Progress, *, rate: float) -> None:
    """Calls of apps, and how often consumers asked; an hour is written at once."""
    line = bar.add_task("a day of calls", total=day.ends - day.begins)
    recorder, noise = Recorder(context, enabled=True), np.random.default_rng(11)
    writer, asked = random.SystemRandom().getrandbits(62), dict.fromkeys(CONSUMERS, 1)  # the first to be seen
    asks: list[MinuteAsks] = []
    minutes = calls(since=day.begins, until=day.ends, rate=rate, outage=outage)
    await _note(context, asked, at=day.begins)
    for minute, rows in zip(range(day.begins, day.ends, MINUTE), minutes, strict=True):
        for row in rows:
            recorder.record(row)
        counts = noise.poisson(ASKS_A_MINUTE, len(CONSUMERS)).tolist()
        for app, count in zip(CONSUMERS, counts, strict=True):
            asks.append(MinuteAsks(minute, app, SIGNAL, writer, count))
            asked[app] += count
        if (minute + MINUTE) % HOUR == 0 or minute + MINUTE >= day.ends:
            await recorder.flush()
            await context.calls_db.write(store.write_asks, asks)
            asks.clear()
            bar.update(line, completed=minute + MINUTE - day.begins)
    await recorder.close()
    await _note(context, asked, at=day.ends)


async def _note(context: Context, asked: Mapping[str, int], *, at: int) -> None:
    noted = [Asked(app, SIGNAL, count, at) for app, count in asked.items()]
    await context.db.write(consumer_store.note_asks, noted)


async def _play(context: Context, settings: Settings, day: Span, outage: Span, bar: Progress) -> None:
    """All else that happened, with the jobs and events that followed from it."""
    clock = PastClock(day.begins)
    past, recorder = past_context(context, settings, clock)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(recorder.close)
        receivers = await stack.enter_async_context(_receivers())
        notifications = NotificationRuntime(past, _led_to(receivers, settings.notifications, ""))
        stack.push_async_callback(notifications.close)
        kinds, ill = dict(notifications.kinds()), deliver_kind(_ILL)
        for status, spell in _spells(day, outage).items():
            broken = NotificationRuntime(past, _led_to(receivers, settings.notifications, f"/status/{status}"))
            stack.push_async_callback(broken.close)
            kinds[ill] = _switched(kinds[ill], broken.kinds()[ill], spell, clock)
        criticality = CriticalityRuntime(past, settings.criticality, serves=False)
        subscribers = [
            build_subscriber(lambda: notifications.routing),
            *rules.to_subscribers(settings.criticality, criticality.announce),
        ]
        replay = Replay(context.db, clock, kinds, subscribers)
        tasks = PastTasks(TasksRuntime(past, settings.tasks), "checks", random.Random(6))
        story = Story(
            past, span=day, outage=outage, routing=notifications.routing, criticality=criticality, tasks=tasks
        )
        for scene in bar.track(story.scenes(), description="and what happened in it"):
            await replay.run_to(scene.at)
            await scene.act(scene.at)
        await replay.run_to(day.ends)


def _spells(day: Span, outage: Span) -> Mapping[int, Span]:
    """When who is on call could not be reached, by the status that came back: too busy in the outage, moved later."""
    moved = day.ends - 3 * HOUR
    return {503: Span(outage.begins, outage.begins + 3 * MINUTE), 404: Span(moved, moved + HOUR)}


class _Receivers(NamedTuple):
    """Where messages of the past arrive: elsewhere than those of today, and however many at once."""

    chat: str
    hook: str
    mail_port: int


@asynccontextmanager
async def _receivers() -> AsyncIterator[_Receivers]:
    async with (
        LoopbackServer(SlackApp(interval=0)) as chat,
        LoopbackServer(ReceiverApp()) as hook,
        MailServer() as mail,
    ):
        yield _Receivers(chat.url, hook.url, mail.port)


def _led_to(receivers: _Receivers, settings: NotificationSettings, fault: str) -> NotificationSettings:
    """The settings with other addresses; ``fault`` is the beginning of the path of the ill channel's."""
    changes: dict[str, dict[str, Any]] = {
        "slack": {"webhook_url": Secret(f"{receivers.chat}/services/T000/B000/XXXX")},
        "email": {"port": receivers.mail_port},
        "webhook": {"url": Secret(f"{receivers.hook}{fault}/{_ILL}")},
    }
    channels = tuple(each.model_copy(update=changes[each.kind]) for each in settings.channels)
    return settings.model_copy(update={"channels": channels})


def _switched(sound: Kind, broken: Kind, spell: Span, clock: Clock) -> Kind:
    async def handle(job: Job) -> Outcome | None:
        return await (broken if spell.has(clock.now()) else sound).handle(job)

    return Kind(handle)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of what failed long ago."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
