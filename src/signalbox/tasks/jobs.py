"""The jobs of tasks: thin doors to the pumps."""

import logging
from collections.abc import Mapping
from typing import Final, NamedTuple

from sqlalchemy import Connection

from signalbox.core.times import MICROSECONDS, parse_span
from signalbox.infra.context import Context
from signalbox.infra.jobs import Backoff, Done, Job, Kind, Schedule, every
from signalbox.tasks import poll, pump, submit
from signalbox.tasks.journal import Journal
from signalbox.tasks.poller import Poller
from signalbox.tasks.providers import Provider
from signalbox.tasks.settings import TasksSettings
from signalbox.tasks.submitter import Submitter
from signalbox.tasks.verdicts import Patience

TEND: Final = "tasks.tend"

_SOON: Final = Backoff(MICROSECONDS // 5, 30 * MICROSECONDS)

_log = logging.getLogger(__name__)


class Pumps(NamedTuple):
    """What the pumps work with."""

    context: Context
    providers: Mapping[str, Provider]
    settings: TasksSettings
    journal: Journal
    margin: int = MICROSECONDS // 10
    """Microseconds for which a permit is good: ``budget_margin`` of the settings."""

    async def submit(self, job: Job) -> None:
        """Submit a provider's tasks; see ``Submitter``."""
        provider = self._provider_of(job)
        if provider is not None:
            submitter = Submitter(
                self.context,
                provider,
                job,
                patience=patience_of(self.settings, provider),
                journal=self.journal,
                concurrency=self.settings.concurrency,
                margin=self.margin,
            )
            await submitter.run()

    async def poll(self, job: Job) -> None:
        """Ask a provider how its tasks stand; see ``Poller``."""
        provider = self._provider_of(job)
        if provider is not None:
            poller = Poller(
                self.context,
                provider,
                job,
                journal=self.journal,
                missing_after=self.settings.missing_after,
                is_default=provider.name == self.settings.default_provider,
                margin=self.margin,
            )
            await poller.run()

    async def later(self, job: Job) -> Done:
        """Start a submit pump: a task has waited long enough."""
        name, now = job.payload["provider"], self.context.clock.now()

        def wake(tx: Connection) -> None:
            pump.wake(tx, pump.SUBMIT, name, now=now)

        return Done(wake)

    async def tend(self, _job: Job) -> Done:
        """Start every pump that has work: one may have been cancelled, or its provider come back into the settings."""
        now = self.context.clock.now()

        def wake(tx: Connection) -> None:
            for name in self.providers:
                self._tend(tx, name, now)

        return Done(wake)

    def _tend(self, tx: Connection, name: str, now: int) -> None:
        due = submit.first_due(tx, name)
        if (due is not None and due <= now) or submit.has_orphans(tx, name):
            pump.wake(tx, pump.SUBMIT, name, now=now)
        if poll.first_due(tx, [name, *([""] if name == self.settings.default_provider else [])]) is not None:
            pump.wake(tx, pump.POLL, name, now=now)

    def _provider_of(self, job: Job) -> Provider | None:
        """None where there is nothing to do: the run has ended before, or the settings lack its provider."""
        name = job.payload["provider"]
        if job.key is None:
            return None
        if name not in self.providers:
            _log.warning("tasks wait for a provider that the settings do not have", extra={"provider": name})
        return self.providers.get(name)


def patience_of(settings: TasksSettings, provider: Provider) -> Patience:
    """How long a provider's tasks are tried."""
    return Patience(
        max_attempts=settings.max_attempts,
        max_age=parse_span(settings.max_age),
        lookup_after=parse_span(settings.lookup_after),
        poll_after=round(provider.poll_interval * MICROSECONDS),
        can_resolve=provider.can_look_up or provider.is_idempotent,
    )


def build_kinds(pumps: Pumps) -> dict[str, Kind]:
    """How a worker runs the jobs of tasks: as many pumps at once as there are providers.

    Those that are done are not kept: under a steady trickle of tasks there would be one for each.
    """
    many = max(1, len(pumps.providers))
    return {
        pump.SUBMIT: Kind(pumps.submit, concurrency=many, backoff=_SOON, forgets=True),
        pump.POLL: Kind(pumps.poll, concurrency=many, backoff=_SOON, forgets=True),
        pump.LATER: Kind(pumps.later, forgets=True),
        TEND: Kind(pumps.tend, concurrency=1, forgets=True),
    }


def build_schedules() -> list[Schedule]:
    """What is done again and again."""
    return [every("tasks.tend", TEND, 60 * MICROSECONDS)]
