"""A feature with all that runs in the background, for hubs of tests.

``python -m tests.support.working_hub`` serves it with the settings of its environment: ``test.slow`` jobs take as many
seconds as they say, and write rows when they begin and when they end.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from signalbox.app.features import Feature
from signalbox.app.hub import upgrade_databases
from signalbox.app.load import Sources, load
from signalbox.app.server import listen, run
from signalbox.app.settings import Settings
from signalbox.auth.security import Guard
from signalbox.core.logging import configure_logging
from signalbox.infra.context import Context
from signalbox.infra.events import StoredEvent, Subscriber
from signalbox.infra.jobs import Done, Every, Job, Kind, Schedule
from signalbox.ops.sweeps import Sweep
from tests.support.durable_hub import open_engine

entries = sa.Table(
    "test_entry",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("job", sa.BigInteger),
    sa.Column("attempt", sa.Integer),
)


@dataclass
class Working:
    """The feature, and what has become of its parts in this process."""

    life: list[str] = field(default_factory=list)
    held: list[Job] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def build(self, context: Context, _settings: Settings, _guard: Guard) -> Feature:
        async def slow(job: Job) -> Done:
            await context.db.write(note, "begun", job)
            await asyncio.sleep(job.payload["seconds"])
            return Done(lambda tx: note(tx, "ended", job))

        async def hold(job: Job) -> None:
            self.held.append(job)
            await self.gate.wait()

        async def tick(job: Job) -> Done:
            return Done(lambda tx: note(tx, "tick", job))

        def sweep(_tx: sa.Connection, _now: int, _limit: int) -> int:
            self.life.append("swept")
            return 0

        return Feature(
            "working",
            kinds={"test.slow": Kind(slow), "test.hold": Kind(hold), "test.tick": Kind(tick)},
            schedules=[Schedule("test", "test.tick", Every(1_000_000))],
            subscribers=[Subscriber("test", ["test.*", "job.dead"], hear)],
            sweeps=[Sweep("test", context.db, sweep)],
            runtime=self,
        )

    async def open(self) -> None:
        self.life.append("opened")

    async def close(self) -> None:
        self.life.append("closed")


def hear(tx: sa.Connection, event: StoredEvent, _now: int) -> None:
    tx.execute(entries.insert().values(what=event.topic))


def note(tx: sa.Connection, what: str, job: Job) -> None:
    tx.execute(entries.insert().values(what=what, job=job.id, attempt=job.attempt))


def create_table(settings: Settings) -> None:
    """Make the table, unless there is one; several servers may begin at the same time."""
    engine = open_engine(settings)
    with engine.begin() as tx:
        if tx.dialect.name == "postgresql":
            tx.execute(sa.select(sa.func.pg_advisory_xact_lock(86)))
        entries.create(tx, checkfirst=True)
    engine.dispose()


def drop_table(settings: Settings) -> None:
    """Leave a lent database as it was."""
    engine = open_engine(settings)
    entries.drop(engine)
    engine.dispose()


def read_entries(settings: Settings, *what: str) -> Sequence[Any]:
    """What was written down, by another connection than the hub's, oldest first."""
    engine = open_engine(settings)
    with engine.connect() as tx:
        rows = tx.execute(sa.select(entries).where(entries.c.what.in_(what)).order_by(entries.c.id)).all()
    engine.dispose()
    return rows


def main() -> None:
    settings = load({}, Sources.of_process())
    configure_logging(settings.log)
    upgrade_databases(settings)
    create_table(settings)
    listener = listen(settings.host, settings.port)
    address, port = listener.getsockname()[:2]
    print(f'{{"event": "serving", "address": "http://{address}:{port}"}}', flush=True)  # noqa: T201 - read by the test
    run(settings, listener, reload=lambda: settings, extra=[Working().build])


if __name__ == "__main__":
    main()
