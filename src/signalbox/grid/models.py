"""The tables of the grid."""

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from signalbox.infra.db.tables import BigId, Micros, main

component = Table(
    "grid_component",
    main,
    Column("id", BigId, primary_key=True),
    Column("component_type", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("substation", Text, nullable=False),
    Column("fields", Text, nullable=False),  # what its kind has besides, as JSON: a kind is a file and no migration
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    UniqueConstraint("substation", "name"),
    Index(None, "component_type", "id"),
    sqlite_autoincrement=True,  # else the id of a deleted component would be given again, with reports that name it
)
"""One row for each component."""

chunk = Table(
    "grid_chunk",
    main,
    Column("series", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("n", Integer, nullable=False),
    Column("first_at", Micros, nullable=False),
    Column("last_at", Micros, nullable=False),
    Column("quarters", LargeBinary, nullable=False),  # before the readings: SQLite reads rows from their front
    Column("data", LargeBinary, nullable=False),
)
"""The readings of a series on a UTC day, and their rollup by 15 minutes; see ``chunks.py`` and ``rollups.py``."""

rollup = Table(
    "grid_rollup",
    main,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("series", BigInteger, primary_key=True, autoincrement=False),
    Column("n", Integer, nullable=False),
    Column("mean", Double, nullable=False),
    Column("m2", Double, nullable=False),
    Column("min", Double, nullable=False),
    Column("max", Double, nullable=False),
    Column("occupied", Integer, nullable=False),  # bit h: there is a reading in hour h
    Column("hours", LargeBinary, nullable=False),  # the same by hour
    Index(None, "series", "day"),
)
"""The rollup of each chunk, written with it. Apart from the readings, so that a report reads little."""

block = Table(
    "grid_block",
    main,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("block", BigInteger, primary_key=True, autoincrement=False),
    Column("groups", Text, nullable=False),  # JSON: type of component and number of the type of measurement of each
    Column("hours", LargeBinary, nullable=False),  # those of each group, one behind the other
    Column("quarters", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""The rollups of all components in a block of ids on a UTC day, added up by group; see ``block_store.py``."""

stale_block = Table(
    "grid_stale_block",
    main,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("block", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Blocks that are not built, or no longer hold what their series do: they have no row in ``grid_block``."""

tail = Table(
    "grid_tail",
    main,
    Column("series", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Micros, primary_key=True, autoincrement=False),
    Column("value", Double, nullable=False),
    sqlite_with_rowid=False,
)
"""Single readings that are in no chunk yet. A reading is in the tail or in a chunk, never in both."""

report = Table(
    "grid_report",
    main,
    Column("id", BigId, primary_key=True),
    Column("name", Text),
    Column("start_at", Micros, nullable=False),
    Column("end_at", Micros, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("run", Integer, nullable=False),  # how often it was begun anew; a job of an earlier run records nothing
    Column("progress", Double, nullable=False),
    Column("error", Text),
    Column("result", Text),  # JSON
    Column("created_by", Text, nullable=False),
    Column("created_at", Micros, nullable=False),
    Column("ended_at", Micros),
    Column("schedule_id", BigInteger),  # of which schedule it is; stays when that is deleted
    Index(None, "schedule_id", "id"),
    sqlite_autoincrement=True,
)
"""One row for each report, with its result: it stays as it is, whatever is measured later."""

schedule = Table(
    "grid_schedule",
    main,
    Column("id", BigId, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("every", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("delay", Micros, nullable=False),  # from the end of a period to its report
    Column("paused", Boolean, nullable=False),
    Column("next_start", Micros, nullable=False),
    Column("next_end", Micros, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    sqlite_autoincrement=True,
)
"""One row for each schedule of reports, with the period that its next report is about."""

rule = Table(
    "grid_rule",
    main,
    Column("id", BigId, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("measurement_type", Text, nullable=False),
    Column("comparison", Text, nullable=False),
    Column("bound", Double, nullable=False),
    Column("clear", Double, nullable=False),
    Column("readings", Integer, nullable=False),
    Column("component_id", BigInteger),
    Column("component_type", Text),
    Column("severity", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    sqlite_autoincrement=True,
)
"""One row for each threshold rule."""

rule_state = Table(
    "grid_rule_state",
    main,
    Column("rule_id", BigInteger, primary_key=True, autoincrement=False),
    Column("component_id", BigInteger, primary_key=True, autoincrement=False),
    Column("raised", Boolean, nullable=False),
    Column("changed_at", Micros, nullable=False),  # time of the reading that raised or cleared it
    Column("value", Double, nullable=False),  # of that reading
    Column("seen_until", Micros, nullable=False),  # time of the newest reading that was looked at then
    Index(None, "component_id"),
)
"""Where a component has crossed a rule's bound at least once: how it stands now."""

watched = Table(
    "grid_watched",
    main,
    Column("id", BigId, primary_key=True),
    Column("series", BigInteger, nullable=False, index=True),
    Column("after", Micros, nullable=False),  # time of the newest reading that the series had before
)
"""Series with new readings that threshold rules are yet to be held against; a row for each transaction that had some."""
