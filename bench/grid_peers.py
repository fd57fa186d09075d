"""Other stores of readings, each with the same report. Started by ``grid.py``, a process for each.

``python bench/grid_peers.py STORE FILE MOST FOLDER [URL]``: takes at most ``MOST`` readings of the file and prints what it
measured as one line of JSON.
"""

import json
import os
import resource
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

os.environ["POLARS_MAX_THREADS"] = "1"  # before Polars is imported: one core, as for all

import duckdb
import polars as pl
import psycopg
import pyarrow.parquet as pq
from sqlalchemy import BigInteger, Double, Integer, Text, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from grid_data import TYPES, component

TIMES: Final = 3
COMPONENTS: Final = 100
BATCH: Final = 10_000

Report = Callable[[], int]
"""Makes the report of all readings; returns how many it counted."""

_AVERAGES: Final = [
    pl.len().alias("count"),
    pl.col("value").mean().alias("mean"),
    pl.col("value").min().alias("min"),
    pl.col("value").max().alias("max"),
    pl.col("value").std(ddof=0).alias("stddev"),
]


class Base(DeclarativeBase):
    """Tables of the reference's way."""


class Reading(Base):
    """A row for each reading."""

    __tablename__ = "reading"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    component_id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[int] = mapped_column(BigInteger)
    value: Mapped[float] = mapped_column(Double)
    measurement_type: Mapped[str] = mapped_column(Text)


def main() -> None:
    """Measure once."""
    store, file, most, folder = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    began = time.perf_counter()
    report = STORES[store](file, most, folder, *sys.argv[5:])
    loaded = time.perf_counter() - began
    times, counted = [], 0
    for _ in range(TIMES):
        began = time.perf_counter()
        counted = report()
        times.append(time.perf_counter() - began)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ms = {"ms": statistics.median(times) * 1000, "first_ms": times[0] * 1000, "readings": counted}
    print(json.dumps({"readings": counted, "load_s": loaded, "memory_mb": memory, "reports": {"full": ms}}))


def load_orm(file: Path, most: int, folder: Path, url: str | None = None) -> Report:
    """Objects of SQLAlchemy, ten thousand to a commit; the report by Polars of all rows, which come over ADBC."""
    address = f"sqlite:///{folder}/orm.db" if url is None else url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(address)
    Base.metadata.create_all(engine)
    number = 0
    with Session(engine) as session:
        for rows in _rows(file, most):
            objects = [Reading(id=number + place, **row) for place, row in enumerate(rows, start=1)]
            session.add_all(objects)
            session.commit()
            session.expunge_all()
            number += len(objects)
    engine.dispose()
    uri = f"sqlite:///{folder}/orm.db" if url is None else url

    def report() -> int:
        frame = pl.read_database_uri(
            "SELECT component_id, at, value, measurement_type FROM reading", uri, engine="adbc"
        )
        return _count(_by_day(frame.lazy().with_columns(day=pl.col("at") // 86_400_000_000)))

    return report


def load_duckdb(file: Path, most: int, folder: Path) -> Report:
    """A table without a key, on disk; the report is one query."""
    connection = duckdb.connect(str(folder / "duck.db"), config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"CREATE TABLE reading AS SELECT * FROM read_parquet('{file}') LIMIT {most}")  # noqa: S608 - our words
    connection.execute("CREATE TABLE component (id BIGINT PRIMARY KEY, component_type VARCHAR)")
    connection.executemany("INSERT INTO component VALUES (?, ?)", _components())
    query = """
        SELECT epoch_us(timestamp) // 86400000000, measurement_type, component_type, count(*), avg(value), min(value),
               max(value), stddev_pop(value)
        FROM reading JOIN component ON component.id = component_id GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""
    return lambda: sum(row[3] for row in connection.execute(query).fetchall())


def load_parquet(file: Path, most: int, folder: Path) -> Report:
    """A Parquet file for each day, written and read by Polars."""
    frame = pl.read_parquet(file, n_rows=most)
    days = frame.with_columns(day=pl.col("timestamp").dt.truncate("1d")).partition_by("day", include_key=True)
    for number, day in enumerate(days):
        day.write_parquet(folder / f"{number}.parquet", compression="lz4")
    del frame, days
    return lambda: _count(_by_day(pl.scan_parquet(folder / "*.parquet")))


def load_rollups(file: Path, most: int, folder: Path, url: str | None = None) -> Report:
    """A row for each reading under its key, and one for each hour of a series, both in plain SQL."""
    connection: Any = sqlite3.connect(folder / "rows.db") if url is None else psycopg.connect(url)
    if url is None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    number, end = ("DOUBLE PRECISION", "") if url else ("REAL", " WITHOUT ROWID")
    connection.execute(
        f"CREATE TABLE reading (series BIGINT, at BIGINT, value {number} NOT NULL, PRIMARY KEY (series, at)){end}"
    )
    connection.execute("CREATE TABLE component (id BIGINT PRIMARY KEY, component_type TEXT)")
    mark = "%s" if url else "?"
    connection.cursor().executemany(f"INSERT INTO component VALUES ({mark}, {mark})", _components())  # noqa: S608
    for rows in _rows(file, most):
        keyed = [
            (row["component_id"] * 8 + TYPES.index(row["measurement_type"]), row["at"], row["value"]) for row in rows
        ]
        if url is None:
            connection.executemany("INSERT INTO reading VALUES (?, ?, ?) ON CONFLICT DO NOTHING", keyed)
        else:
            with connection.cursor() as cursor, cursor.copy("COPY reading FROM STDIN") as copy:
                for row in keyed:
                    copy.write_row(row)
        connection.commit()
    connection.execute("""
        CREATE TABLE hourly AS SELECT series, at / 3600000000 AS hour, count(*) AS n, sum(value) AS total,
               sum(value * value) AS squares, min(value) AS low, max(value) AS high FROM reading GROUP BY 1, 2""")
    connection.commit()
    query = """
        SELECT hour / 24, series % 8, component_type, sum(n), sum(total) / sum(n), min(low), max(high), sum(squares)
        FROM hourly JOIN component ON component.id = series / 8 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""
    return lambda: int(sum(row[3] for row in connection.execute(query).fetchall()))


def _by_day(frame: pl.LazyFrame) -> pl.DataFrame:
    kinds = pl.LazyFrame(_components(), schema=["component_id", "component_type"], orient="row")
    keys = ["day", "measurement_type", "component_type"]
    return frame.join(kinds, on="component_id").group_by(keys).agg(_AVERAGES).sort(keys).collect()


def _count(frame: pl.DataFrame) -> int:
    return int(frame["count"].sum())


def _components() -> list[tuple[int, str]]:
    return [(number, component(number)["component_type"]) for number in range(1, COMPONENTS + 1)]


def _rows(file: Path, most: int) -> Iterator[list[dict[str, Any]]]:
    """Rows of plain Python, with times in microseconds."""
    taken = 0
    for batch in pq.ParquetFile(file).iter_batches(BATCH):
        part = batch.slice(0, most - taken)
        taken += part.num_rows
        if not part.num_rows:
            return
        columns = [part.column(name).to_pylist() for name in ("component_id", "value", "measurement_type")]
        times = part.column("timestamp").cast("int64").to_pylist()
        yield [
            {"component_id": one, "at": at, "value": value, "measurement_type": kind}
            for one, value, kind, at in zip(*columns, times, strict=True)
        ]


STORES: Final[dict[str, Callable[..., Report]]] = {
    "orm": load_orm,
    "duckdb": load_duckdb,
    "parquet": load_parquet,
    "rollups": load_rollups,
}

if __name__ == "__main__":
    main()
