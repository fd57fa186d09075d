"""The tables of the grid."""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

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
    sqlite_autoincrement=True,
)
"""One row for each report, with its result: it stays as it is, whatever is measured later."""
