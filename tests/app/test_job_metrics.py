import asyncio

import pytest

from signalbox.app.hub import Hub, open_hub
from signalbox.app.job_metrics import JobMetrics
from signalbox.infra.db import DatabaseUnavailableError
from signalbox.infra.jobs import enqueue
from tests.support.databases import Place
from tests.support.hub import settings_at
from tests.support.timing import PATIENCE, until
from tests.support.working_hub import Working, create_table, drop_table


def lines(hub: Hub) -> set[str]:
    text = hub.context.metrics.render().decode()
    return {line for line in text.splitlines() if line.startswith("signalbox_jobs")}


async def test_what_runs_waits_and_has_ended_is_shown(place: Place) -> None:
    settings, working = settings_at(place), Working()
    create_table(settings)
    async with open_hub(settings, extra=[working.build]) as hub:
        now = hub.context.clock.now()
        write = hub.context.db.write
        await write(enqueue, "test.hold", {}, now=now)
        await write(enqueue, "test.hold", {}, now=now, due_at=now + 10**12)
        await write(enqueue, "test.slow", {"seconds": "many"}, now=now, max_attempts=1)
        await until(lambda: working.held)
        async with asyncio.timeout(PATIENCE):
            while 'signalbox_jobs_dead{kind="test.slow"} 1.0' not in lines(hub):
                await asyncio.sleep(0.1)
        shown = lines(hub)
        assert {
            'signalbox_jobs_running{kind="test.hold"} 1.0',
            'signalbox_jobs_ended_total{kind="test.slow",state="dead"} 1.0',
            'signalbox_jobs_waiting{kind="test.hold"} 1.0',
            'signalbox_jobs_waiting{kind="test.slow"} 0.0',
            'signalbox_jobs_oldest_due_seconds{kind="test.hold"} 0.0',
            'signalbox_jobs_lag_seconds_bucket{kind="test.hold",le="600.0"} 1.0',
            'signalbox_jobs_lag_seconds_count{kind="test.hold"} 1.0',
        } <= shown
        working.gate.set()
    drop_table(settings)


async def test_the_age_of_what_is_late_and_nothing_while_the_database_is_away(place: Place) -> None:
    async with open_hub(settings_at(place)) as hub:
        assert hub.background is not None
        database, clock = place.open(), hub.context.clock
        numbers = JobMetrics(hub.background.worker, database, clock, ["test.late"])
        await database.write(enqueue, "test.late", {}, now=clock.now() - 90_000_000)
        await numbers.look()
        ages = {metric.name: metric for metric in numbers.collect()}["signalbox_jobs_oldest_due_seconds"].samples
        assert [sample.labels for sample in ages] == [{"kind": "test.late"}]
        assert 90 <= ages[0].value < 120
        await database.close()
        with pytest.raises(DatabaseUnavailableError):
            await numbers.look()
        numbers.open()
        await until(lambda: not {metric.name: metric for metric in numbers.collect()}["signalbox_jobs_waiting"].samples)
        await numbers.close()
