"""The tables of jobs and schedules."""

from sqlalchemy import Column, Index, Integer, SmallInteger, Table, Text, literal_column, text

from signalbox.infra.db.tables import BigId, Micros, main

_WAITING = text("state = 'waiting'")
_RUNNING = text("state = 'running'")
_LIVE_KEY = text("key IS NOT NULL AND state IN ('waiting', 'running')")
_ENDED = text("ended_at IS NOT NULL")

job = Table(
    "job",
    main,
    Column("id", BigId, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),  # not Json: nothing is sought in it, and it comes back as it was
    Column("key", Text),
    Column("priority", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", Micros, nullable=False),
    Column("created_at", Micros, nullable=False),
    Column("since", Micros, nullable=False),  # when its age began: enqueued or replayed
    Column("max_age", Micros, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("claim", Integer, nullable=False),  # how often it has been claimed; never goes down, unlike attempts
    Column("worker", Text),
    Column("lease_until", Micros),
    Column("cancel_at", Micros),
    Column("error", Text),
    Column("traceparent", Text),
    Column("started_at", Micros),
    Column("ended_at", Micros),
    Index("ix_job_waiting", "kind", "priority", "due_at", "id", sqlite_where=_WAITING, postgresql_where=_WAITING),
    Index("ix_job_running", "lease_until", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
    Index("uq_job_live_key", "kind", "key", unique=True, sqlite_where=_LIVE_KEY, postgresql_where=_LIVE_KEY),
    Index("ix_job_ended", "state", "ended_at", sqlite_where=_ENDED, postgresql_where=_ENDED),
    sqlite_autoincrement=True,  # an id that came back would make an old claim of it look current
)
"""One row for each job; those that have ended are swept by age."""

schedule = Table(
    "job_schedule",
    main,
    Column("name", Text, primary_key=True),
    Column("spec", Text, nullable=False),  # what next_at was calculated by
    Column("next_at", Micros, nullable=False),
    Column("last_at", Micros),
    Column("kind", Text, nullable=False, server_default=""),  # what it enqueues, so that any process can
    Column("payload", Text, nullable=False, server_default="{}"),
    Column("priority", SmallInteger, nullable=False, server_default="0"),
    Column("paused_at", Micros),  # while set, its moments pass
)
"""When each schedule is to fire next; whoever moves ``next_at`` on enqueues its job."""

# Written out, not bound: a planner uses a partial index only where it can see its condition in the statement.
WAITING = job.c.state == literal_column("'waiting'")
RUNNING = job.c.state == literal_column("'running'")
