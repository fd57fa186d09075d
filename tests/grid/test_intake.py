"""Taking readings in: whatever is done in whatever order, chunks, tail and rollups say what a dictionary would."""

import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalbox.core.errors import UnprocessableError
from signalbox.core.times import DAY, to_micros
from signalbox.grid import blocks, chunk_store, components, folding, intake
from signalbox.grid.block_store import SERIES
from signalbox.grid.chunk_store import Span
from signalbox.grid.errors import ComponentNotFoundError, DuplicateMeasurementError, RejectedBatchError
from signalbox.grid.kinds import check
from signalbox.grid.merging import Readings
from signalbox.grid.models import block, chunk, component, rollup, stale_block, tail
from signalbox.grid.rollups import HOURS, QUARTERS, unpack
from signalbox.grid.schemas import NewReading
from signalbox.grid.series import WIDTH, MeasurementType, to_series
from tests.grid.conftest import LINE

NOW = 1_767_225_600_000_000
START = datetime(1969, 12, 30, tzinfo=UTC)
"""Days before 1970 have negative numbers."""

SWITCH = {"component_type": "SWITCH", "substation": "North", "status": "OPEN"}

Model = dict[tuple[int, int], float]


@contextmanager
def lines(engine: sa.Engine, count: int = 2) -> Iterator[tuple[sa.Connection, list[int]]]:
    """A transaction that is undone, with some components."""
    with engine.connect() as tx:
        transaction = tx.begin()
        made = [
            components.add(tx, check({**LINE, "name": f"L{number}"}), by="test", now=NOW).id for number in range(count)
        ]
        yield tx, made
        transaction.rollback()


def reading(
    component: int, minutes: float, value: float = 1.0, kind: MeasurementType = "POWER", *, start: datetime = START
) -> NewReading:
    return NewReading(component, value, kind, start + timedelta(minutes=minutes))


def key(row: NewReading) -> tuple[int, int]:
    assert row.timestamp is not None
    return to_series(row.component_id, row.measurement_type), to_micros(row.timestamp)


def read_all(tx: sa.Connection) -> Model:
    series = list(tx.execute(sa.select(rollup.c.series).union(sa.select(tail.c.series))).scalars())
    span = Span(-(2**60), 2**60)
    parts = [chunk_store.read_series(tx, series, span), chunk_store.read_tail(tx, span)]
    found: Model = {}
    for part in parts:
        for one, at, value in zip(*part, strict=True) if part is not None else ():
            assert (int(one), int(at)) not in found, "a reading is in the tail or in a chunk, never in both"
            found[int(one), int(at)] = float(value)
    return found


def check_rollups(tx: sa.Connection, model: Model) -> None:
    """Each rollup is what its chunk's readings give anew."""
    in_tail = {(row.series, row.at) for row in tx.execute(sa.select(tail))}
    expected: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for (series, at), value in model.items():
        if (series, at) not in in_tail:
            expected.setdefault((series, at // DAY), []).append((at, value))
    joined = rollup.join(chunk, sa.and_(chunk.c.series == rollup.c.series, chunk.c.day == rollup.c.day))
    rows = tx.execute(sa.select(rollup, chunk.c.quarters).select_from(joined)).all()
    assert {(row.series, row.day) for row in rows} == expected.keys()
    for row in rows:
        readings = expected[row.series, row.day]
        check_sums(row, [value for _, value in readings])
        for blob, width in ((row.hours, HOURS), (row.quarters, QUARTERS)):
            (parts,) = unpack([bytes(blob)], width)
            for place, part in enumerate(parts):
                size = DAY // width
                values = [value for at, value in readings if at % DAY // size == place]
                check_sums(part, values)
                if width == HOURS:
                    assert bool(row.occupied >> place & 1) == bool(values)


def check_sums(found: Any, values: list[float]) -> None:
    n, mean, m2, low, high = (
        [found[name] for name in ("n", "mean", "m2", "min", "max")]
        if isinstance(found, np.void)
        else (found.n, found.mean, found.m2, found.min, found.max)
    )
    assert n == len(values)
    if values:
        assert (low, high) == (min(values), max(values))
        exact = math.fsum(values) / len(values)
        scale = max(map(abs, values))
        assert mean == pytest.approx(exact, rel=1e-9, abs=1e-12 * scale)
        deviation = math.sqrt(math.fsum((value - exact) ** 2 for value in values) / len(values))
        assert math.sqrt(m2 / n) == pytest.approx(deviation, rel=1e-9, abs=1e-9 * (high - low))


def check_blocks(tx: sa.Connection) -> None:
    """Each block is stale, or is what its rollups give anew."""
    expected: dict[tuple[int, int, str, int], list[npt.NDArray[np.void]]] = {}
    joined = rollup.join(chunk, sa.and_(chunk.c.series == rollup.c.series, chunk.c.day == rollup.c.day)).join(
        component, component.c.id == rollup.c.series // WIDTH
    )
    stale = {tuple(row) for row in tx.execute(sa.select(stale_block))}
    for row in tx.execute(sa.select(rollup, chunk.c.quarters, component.c.component_type).select_from(joined)):
        if (row.day, row.series // SERIES) not in stale:
            parts = np.concatenate([unpack([bytes(row.hours)], HOURS)[0], unpack([bytes(row.quarters)], QUARTERS)[0]])
            expected.setdefault((row.day, row.series // SERIES, row.component_type, row.series % WIDTH), []).append(
                parts
            )
    rows = tx.execute(sa.select(block)).all()
    keys = [(row.day, row.block, *group) for row in rows for group in json.loads(row.groups)]
    assert sorted(keys) == sorted(expected)
    hours, quarters = unpack([row.hours for row in rows], HOURS), unpack([row.quarters for row in rows], QUARTERS)
    for group, found in zip(keys, np.concatenate([hours, quarters], axis=1), strict=True):
        for place, part in enumerate(found):
            check_merged(part, [each[place] for each in expected[group] if each[place]["n"]])


def check_merged(found: Any, parts: list[Any]) -> None:
    n = sum(int(part["n"]) for part in parts)
    assert found["n"] == n
    if n:
        assert (found["min"], found["max"]) == (min(part["min"] for part in parts), max(part["max"] for part in parts))
        mean = math.fsum(part["n"] * part["mean"] for part in parts) / n
        scale = max(abs(found["min"]), abs(found["max"]))
        assert found["mean"] == pytest.approx(mean, rel=1e-9, abs=1e-12 * scale)
        m2 = math.fsum(part["m2"] + part["n"] * (part["mean"] - mean) ** 2 for part in parts)
        spread = found["max"] - found["min"]
        assert math.sqrt(found["m2"] / n) == pytest.approx(math.sqrt(m2 / n), rel=1e-9, abs=1e-9 * spread)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("one"), st.integers(0, 1), st.integers(0, 4_000), st.floats(-1e6, 1e6)),
        st.tuples(
            st.just("many"),
            st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4_000), st.floats(-1e6, 1e6)), max_size=30),
        ),
        st.tuples(st.just("fold"), st.integers(1, 20)),
        st.tuples(
            st.just("file"),
            st.lists(st.tuples(st.integers(0, 1), st.floats(0, 4_000), st.floats(-1e6, 1e6)), max_size=60),
        ),
        st.tuples(st.just("build"), st.integers(1, 3)),
        st.tuples(st.just("kind"), st.integers(0, 1), st.sampled_from(["LINE", "SWITCH"])),
        st.tuples(st.just("delete"), st.integers(0, 1)),
    ),
    max_size=12,
)


class History:
    """What is done to readings, in the database and in a dictionary; each step checks what it is told."""

    def __init__(self, tx: sa.Connection, made: list[int]) -> None:
        self.tx, self.made, self.model = tx, made, Model()

    def one(self, which: int, minutes: float, value: float) -> None:
        row = reading(self.made[which], minutes, value)
        if key(row) in self.model:
            with pytest.raises(DuplicateMeasurementError):
                intake.accept(self.tx, row, now=NOW)
        else:
            intake.accept(self.tx, row, now=NOW)
            self.model[key(row)] = row.value

    def many(self, given: list[tuple[int, float, float]]) -> None:
        rows = [reading(self.made[which], minutes, value) for which, minutes, value in given]
        statuses = [each.status for each in intake.accept_many(self.tx, rows, now=NOW).rows]
        assert statuses == ["inserted" if fresh else "duplicate" for fresh in self._take(rows)]

    def file(self, given: list[tuple[int, float, float]]) -> None:
        """In any order, at times that are not on the minute, with repeats."""
        rows = [reading(self.made[which], minutes, value) for which, minutes, value in given]
        columns = np.array([key(row) for row in rows], np.int64).reshape(-1, 2)
        new = Readings(columns[:, 0], columns[:, 1], np.array([row.value for row in rows]))
        assert intake.insert(self.tx, new).tolist() == self._take(rows)

    def fold(self, limit: int) -> None:
        folding.fold_tail(self.tx, now=NOW, size=limit)

    def build(self, limit: int) -> None:
        blocks.build_blocks(self.tx, now=NOW, limit=limit)

    def kind(self, which: int, name: str) -> None:
        kind = SWITCH if name == "SWITCH" else LINE
        components.replace(self.tx, self.made[which], check({**kind, "name": f"L{which}"}), by="test", now=NOW)

    def delete(self, which: int) -> None:
        chunk_store.delete_readings(self.tx, self.made[which])
        self.model = {each: value for each, value in self.model.items() if each[0] // WIDTH != self.made[which]}

    def check(self) -> None:
        assert read_all(self.tx) == self.model
        assert chunk_store.count_readings(self.tx) == len(self.model)
        check_rollups(self.tx, self.model)
        check_blocks(self.tx)

    def _take(self, rows: list[NewReading]) -> list[bool]:
        """Which of the rows are new; of those with the same key the first is."""
        fresh = []
        for row in rows:
            fresh.append(key(row) not in self.model)
            self.model.setdefault(key(row), row.value)
        return fresh


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
def test_any_history_gives_what_a_dictionary_would(engine: sa.Engine, steps: list[Any]) -> None:
    with lines(engine) as (tx, made):
        history = History(tx, made)
        for name, *rest in steps:
            getattr(history, name)(*rest)
        history.check()
        while folding.fold_tail(tx, now=NOW, size=7):
            pass
        while blocks.build_blocks(tx, now=NOW, limit=2):
            pass
        for table in (tail, stale_block):
            assert tx.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0
        history.check()


def test_four_spellings_of_an_instant_are_one(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        spellings = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000+00:00", "2026-01-01T01:00:00+01:00"]
        rows = [NewReading(made[0], 1.0, "POWER", datetime.fromisoformat(each)) for each in spellings]
        assert [each.status for each in intake.accept_many(tx, rows, now=NOW).rows] == ["inserted", *["duplicate"] * 2]
        with pytest.raises(DuplicateMeasurementError):
            intake.accept(tx, NewReading(made[0], 2.0, "POWER"), now=NOW)  # now is the same instant


def test_what_cannot_be_taken_is_said(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        rows: list[NewReading | str] = [reading(made[0], 0), reading(made[0], 1, math.nan), reading(99, 2)]
        rows += [reading(-1, 3), "no reading"]
        rows += [reading(made[0], 0, 5.0), reading(made[0], 4, 1e101)]
        result = intake.accept_many(tx, rows, now=NOW)
        assert (result.inserted, result.duplicates, result.rejected) == (1, 1, 5)
        assert result.rows[4].reason == "no reading"
        assert "no component 99" in (result.rows[2].reason or "")
        assert len(read_all(tx)) == 1
        for error, row in (
            (UnprocessableError, rows[1]),
            (ComponentNotFoundError, rows[2]),
            (DuplicateMeasurementError, rows[5]),
        ):
            assert not isinstance(row, str)
            with pytest.raises(error):
                intake.accept(tx, row, now=NOW)
        with pytest.raises(RejectedBatchError, match="row 1 is duplicate"):
            intake.accept_many(tx, [reading(made[0], 9), reading(made[0], 0)], all_or_nothing=True, now=NOW)
        assert intake.accept_many(tx, [], now=NOW).rows == []


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_that_utc_cannot_hold_are_refused(engine: sa.Engine, text: str) -> None:
    with lines(engine) as (tx, made):
        wrong = NewReading(made[0], 1.0, "POWER", datetime.fromisoformat(text))
        with pytest.raises(UnprocessableError, match="years 1 to 9999") as refused:
            intake.accept(tx, wrong, now=NOW)
        assert [fault.where for fault in refused.value.faults] == ["timestamp"]
        (row,) = intake.accept_many(tx, [wrong], now=NOW).rows
        assert (row.status, "years 1 to 9999" in (row.reason or "")) == ("rejected", True)
        for kept in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"):
            shown = intake.accept(tx, NewReading(made[0], 1.0, "POWER", datetime.fromisoformat(kept)), now=NOW)
            assert shown.timestamp == datetime.fromisoformat(kept)


@pytest.mark.parametrize("number", [0, -1, 2**53, 2**60])
def test_an_id_that_no_component_has_is_of_none(engine: sa.Engine, number: int) -> None:
    with lines(engine) as (tx, _), pytest.raises(ComponentNotFoundError, match=f"no component {number}"):
        intake.accept(tx, NewReading(number, 1.0, "POWER"), now=NOW)


def test_a_batch_that_brings_nothing_writes_nothing(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        series = np.full(5_000, to_series(made[0], "POWER"))
        new = Readings(series, NOW + np.arange(5_000) * 60_000_000, np.ones(5_000))
        assert intake.insert(tx, new).all()
        marks = np.random.default_rng(1).permutation(5_000)
        before = tx.execute(sa.select(chunk.c.data)).scalars().all()
        written: list[str] = []
        sa.event.listen(tx, "before_cursor_execute", lambda *each: written.append(each[2]))
        assert not intake.insert(tx, new.take(marks)).any()
        assert not [each for each in written if each.startswith(("INSERT", "DELETE", "COPY"))]
        assert tx.execute(sa.select(chunk.c.data)).scalars().all() == before


def test_writers_at_the_same_time_lose_nothing(engine: sa.Engine) -> None:
    with engine.begin() as tx:
        number = components.add(tx, check(LINE), by="test", now=NOW).id
    series = to_series(number, "POWER")
    errors: list[Exception] = []

    def write(offset: int) -> None:
        own = sa.create_engine(engine.url, poolclass=sa.NullPool) if engine.dialect.name == "postgresql" else engine
        try:
            for round_ in range(5):
                with own.begin() as tx:
                    at = NOW + (np.arange(20) * 4 + offset + round_ * 80) * 1_000_000
                    assert intake.insert(tx, Readings(np.full(20, series), at, np.ones(20))).all()
                with own.begin() as tx:
                    row = NewReading(number, 1.0, "POWER")
                    intake.accept(tx, row, now=NOW + 10**9 + (offset * 5 + round_) * 1_000_000)
                with own.begin() as tx:
                    folding.fold_tail(tx, now=NOW + 10**12)
        except Exception as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=write, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with engine.connect() as tx:
        found = read_all(tx)
        assert len(found) == 4 * 5 * 21
        check_rollups(tx, found)
