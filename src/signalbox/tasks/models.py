"""The tables of tasks."""

from typing import Any

from sqlalchemy import Column, Index, Integer, Table, Text, literal_column, text

from signalbox.infra.db.tables import BigId, Micros, main

_QUEUED = text("phase = 'queued'")
_SUBMITTING = text("phase = 'submitting'")
_UNCLEAR = text("phase = 'unclear'")
_SUBMITTED = text("phase = 'submitted'")
_OPEN = text("status <> 'Completed'")

_BLOCKS: Any = {"postgresql_using": "brin", "postgresql_with": {"pages_per_range": 32, "autosummarize": "on"}}

task = Table(
    "task",
    main,
    Column("id", BigId, primary_key=True),
    Column("app", Text, nullable=False),  # whose it is: providers serve apps by turns
    Column("provider", Text, nullable=False),  # empty where a task is tracked only
    Column("status", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("validation_error", Text),
    Column("raw_status", Text),  # the provider's word, where it is none of ours
    Column("flag", Text),
    Column("external_id", Text),
    Column("poll_key", Text),  # what answers of polls call it; set once it is submitted
    Column("reference", Text, nullable=False),
    Column("payload", Text, nullable=False),  # not Json: nothing is sought in it, and it comes back as it was
    Column("attempts", Integer, nullable=False),
    Column("missed_polls", Integer, nullable=False),
    Column("next_at", Micros, nullable=False),  # not submitted, resolved or asked for by itself before
    Column("sent_at", Micros),  # when a permit for its last submission was taken
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    # Nearly all tasks are completed in the end. Those are found by id, and a poll that completes 100,000 tasks does not
    # make an entry for each.
    Index("ix_task_status_id", "status", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    # PostgreSQL would make a new entry with every change of a task; of blocks it only notes, in a bloom filter, which apps
    # and providers are in them. Those that have few tasks are found by it, of others any page is full soon enough.
    Index("ix_task_provider_id", "provider", "id", postgresql_ops={"provider": "text_bloom_ops"}, **_BLOCKS),
    Index("ix_task_app", "app", postgresql_ops={"app": "text_bloom_ops"}, **_BLOCKS),
    Index(None, "updated_at"),
    Index("ix_task_queued", "provider", "app", "next_at", "id", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
    Index("ix_task_submitting", "provider", sqlite_where=_SUBMITTING, postgresql_where=_SUBMITTING),
    Index("ix_task_unclear", "provider", "next_at", sqlite_where=_UNCLEAR, postgresql_where=_UNCLEAR),
    Index("ix_task_submitted", "provider", "id", sqlite_where=_SUBMITTED, postgresql_where=_SUBMITTED),
    Index("ix_task_submitted_next", "provider", "next_at", sqlite_where=_SUBMITTED, postgresql_where=_SUBMITTED),
    sqlite_autoincrement=True,  # else the id of a deleted task would be given again
)
"""One row for each task; ``docs/state-machines.md`` shows the phases."""

history = Table(
    "task_history",
    main,
    Column("id", BigId, primary_key=True),
    Column("task", Micros, nullable=False),
    Column("at", Micros, nullable=False),
    Column("status_from", Text, nullable=False),
    Column("status_to", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("detail", Text),
    Index(None, "task", "id"),
    sqlite_autoincrement=True,  # an id is the place in the order of changes, also after the newest was deleted
)
"""One row for each change of a task; how it began is in ``task`` itself."""

provider = Table(
    "task_provider",
    main,
    Column("name", Text, primary_key=True),
    Column("last_app", Text, nullable=False),  # whose turn it was last
    Column("polled_at", Micros),
    Column("poll_error", Text),  # why the last poll failed
    Column("found", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("unknown", Integer, nullable=False),
    Column("bad", Integer, nullable=False),
    Column("failures", Integer, nullable=False),  # polls in a row that failed
    Column("unchanged", Integer, nullable=False),  # polls in a row that changed nothing
)
"""One row for each provider that has been used: whose turn it was, and how its last poll went."""

# Written out, not bound: a planner uses a partial index only where it can see its condition in the statement.
QUEUED = task.c.phase == literal_column("'queued'")
SUBMITTING = task.c.phase == literal_column("'submitting'")
UNCLEAR = task.c.phase == literal_column("'unclear'")
SUBMITTED = task.c.phase == literal_column("'submitted'")

NOT_COMPLETED = task.c.status != literal_column("'Completed'")
"""Said beside any other status that is looked for, else the index of those is not used."""

STILL_SUBMITTED = task.c.phase.is_not_distinct_from(literal_column("'submitted'"))
"""The same of rows that are found by id. Written so that PostgreSQL does not find them by an index of phases instead:
where it believes that few tasks are submitted, it walks through all of them."""
