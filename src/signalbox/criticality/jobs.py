"""Background work of criticality: looking for consumers that fell silent."""

from functools import partial

from signalbox.core.times import MICROSECONDS
from signalbox.criticality.service import silence
from signalbox.infra.context import Context
from signalbox.infra.jobs import Done, Job, Kind, Schedule, every

WATCH = "criticality.watch"
SPAN = 5 * MICROSECONDS
"""How often it is looked; silence may be told of so much and ``LATENESS`` too late."""


def kinds(context: Context) -> dict[str, Kind]:
    """The jobs, by kind."""

    async def watch(_job: Job) -> Done:
        return Done(then=partial(silence.check, now=context.clock.now() - silence.LATENESS))

    return {WATCH: Kind(watch, concurrency=1, forgets=True)}


def schedules() -> list[Schedule]:
    """When they run."""
    return [every("criticality.watch", WATCH, SPAN)]
