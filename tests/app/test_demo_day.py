"""The day that the demo has behind it."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from signalbox.app.demo_day import load_day
from signalbox.app.demo_settings import demo_settings
from signalbox.app.demo_story import CONSUMERS, SIGNAL, SILENT
from signalbox.app.hub import open_context, upgrade_databases
from signalbox.core.times import DAY, HOUR, MINUTE, to_datetime
from signalbox.criticality.service import consumers
from signalbox.criticality.service.overview import list_app_asks, list_steps
from signalbox.gateway import heatmap, service
from signalbox.gateway.schemas import Filters
from signalbox.infra.context import Context
from signalbox.infra.jobs import find_jobs
from signalbox.notifications import listing
from signalbox.sandbox.past_calls import Span
from signalbox.sandbox.world import opened_world
from signalbox.tasks.service import list_tasks, show_history
from signalbox.tasks.store import TaskFilter


class Past(NamedTuple):
    """A hub that has a day behind it and serves nothing."""

    context: Context
    outage: Span
    now: int
    screen: str


@asynccontextmanager
async def past_day(folder: Path) -> AsyncIterator[Past]:
    screen = io.StringIO()
    async with opened_world() as world:
        settings = demo_settings(folder, world, 8123)
    upgrade_databases(settings)
    outage = await load_day(settings, Console(file=screen, force_terminal=True), rate=0.4)
    async with open_context(settings) as context:
        yield Past(context, outage, context.clock.now(), screen.getvalue())


async def test_there_is_a_day_of_everything(tmp_path: Path) -> None:
    async with past_day(tmp_path) as past:
        assert "a day of calls" in past.screen
        await _check_calls(past)
        await _check_criticality(past)
        await _check_tasks(past)
        await _check_messages(past)


async def _check_calls(past: Past) -> None:
    """The last 24 whole hours have calls and latencies, and the outage shows."""
    until = past.now // HOUR * HOUR
    wanted = Filters(upstream="shop", since=until - DAY, until=until)
    read = past.context.calls_db.read
    day = await read(service.summarize, wanted, step="hour", by="upstream", now=past.now)
    (shop,) = day.series
    assert len(shop.points) == 24
    assert 0.9 < (day.totals.success_rate or 0) < 0.995
    rows = (await read(heatmap.map_latencies, wanted, step="hour", now=past.now)).rows
    assert [sum(row.counts) for row in rows] == [point.totals.calls for point in shop.points]
    assert await _success_rate(past, past.outage) < 0.1
    assert await _success_rate(past, Span(past.outage.begins - HOUR, past.outage.begins)) > 0.9
    asks = await read(list_app_asks, name=SIGNAL, since=until - DAY, until=until, limit=50)
    assert {each.app for each in asks} == set(CONSUMERS)


async def _success_rate(past: Past, span: Span) -> float:
    filters = Filters(upstream="shop", since=span.begins, until=span.ends)
    found = await past.context.calls_db.read(service.summarize, filters, step="minute", by="status", now=past.now)
    assert found.totals.success_rate is not None
    return found.totals.success_rate


async def _check_criticality(past: Past) -> None:
    read = past.context.db.read
    steps = await read(list_steps, SIGNAL, since=past.now - 2 * DAY, until=past.now)
    assert len(steps) > 20
    highest = max(steps, key=lambda step: step.level)
    assert (highest.level, highest.at) == (5, to_datetime(past.outage.begins + 2 * MINUTE))
    silent = await read(consumers.read_consumer, SILENT, SIGNAL, now=past.now)
    assert silent.state == "silent"
    seen = await read(consumers.read_consumer, CONSUMERS[0], SIGNAL, now=past.now)
    assert seen.requests > 10_000
    assert seen.lag == 0
    assert seen.first_asked_at is not None
    assert seen.first_asked_at <= to_datetime(past.now - DAY)


async def _check_tasks(past: Past) -> None:
    read = past.context.db.read
    tasks = (await read(list_tasks, TaskFilter(), limit=500)).items
    assert {task.status for task in tasks} == {"Completed", "Error"}
    completed = next(task for task in tasks if task.status == "Completed")
    told = (await read(show_history, completed.id, limit=10)).items
    assert [each.status_to for each in told] == ["Completed", "In Progress", "Not Started", "Not Started"]


async def _check_messages(past: Past) -> None:
    read = past.context.db.read
    found = (await read(listing.list_messages, listing.MessageFilter(), limit=500)).items
    topics = {message.topic for message in found}
    assert {"sales", "pricing", "delivery", "task.error", "criticality.raised", "gateway.upstream_up"} <= topics
    down = next(message for message in found if message.topic == "gateway.upstream_down")
    detail = await read(listing.show_message, down.id)
    assert {delivery.state for delivery in detail.deliveries} == {"sent"}
    assert [each.outcome for each in detail.deliveries[0].tries].count("failed") > 0
    silent = next(message for message in found if message.topic == "criticality.consumer_silent")
    assert {delivery.state for delivery in silent.deliveries} == {"dead"}
    created = [message.created_at for message in found]
    assert created == sorted(created, reverse=True)
    assert (past.now - DAY) // HOUR * HOUR <= min(created).timestamp() * 1_000_000
    jobs = await read(find_jobs, limit=1000)
    assert "done" in {job.state for job in jobs}
    assert not [job for job in jobs if job.state == "waiting"]
