"""Holding readings against threshold rules."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalbox.core.times import DAY, HOUR
from signalbox.grid import bulk, components, folding, intake, rule_watch, rules
from signalbox.grid.kinds import check
from signalbox.grid.merging import sort
from signalbox.grid.rule_store import Watched
from signalbox.grid.rule_watch import walk
from signalbox.grid.schemas import NewReading, ThresholdRuleIn
from signalbox.grid.series import to_series
from signalbox.infra.context import Context
from signalbox.infra.events import find_events
from signalbox.infra.jobs import find_jobs
from tests.grid.conftest import LINE
from tests.grid.test_intake import NOW, lines, reading
from tests.grid.test_rule_store import ABOVE, BELOW, add

Told = list[tuple[str, float]]


def work(tx: sa.Connection, *, now: int = NOW) -> None:
    """Do what a job does."""
    while rule_watch.follow(tx, now=now):
        pass


def told(tx: sa.Connection) -> Told:
    """Topics without their first word, and values, oldest first."""
    events = find_events(tx, topic="grid.*", limit=500)[::-1]
    return [(event.topic.removeprefix("grid."), event.data["value"]) for event in events]


def measure(tx: sa.Connection, component: int, *values: float, start: int = 0, works: bool = True) -> None:
    for minute, value in enumerate(values, start):
        intake.accept(tx, reading(component, minute, value), now=NOW)
        if works:
            work(tx)


UP, DOWN = "threshold", "threshold_cleared"


def test_each_crossing_is_told_of_once(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        number = add(tx, ABOVE)
        measure(tx, made[0], 40, 56, 70, 56, 52, 54, 50, 56, 40)
        assert told(tx) == [(UP, 56), (DOWN, 50), (UP, 56), (DOWN, 40)]
        first = find_events(tx, topic="grid.threshold", limit=5)[-1]
        assert first.severity == "warning"
        assert first.data == {
            "rule": number,
            "rule_name": "above",
            "condition": "POWER > 55",
            "component": made[0],
            "component_name": "L0",
            "component_type": "LINE",
            "substation": "North",
            "measurement_type": "POWER",
            "value": 56,
            "timestamp": "1969-12-30T00:01:00.000000Z",
            "reason": None,
        }
        assert find_events(tx, topic="grid.threshold_cleared", limit=5)[0].severity == "info"


def test_bounds_may_lie_below_too(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, BELOW)
        measure(tx, made[0], 10, 9, 15, 9, 20, 0)
        assert told(tx) == [(UP, 9), (DOWN, 20), (UP, 0)]


def test_without_a_clear_bound_it_is_the_bound_itself(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE.model_copy(update={"clear": None}))
        measure(tx, made[0], 56, 55.5, 55, 56)
        assert told(tx) == [(UP, 56), (DOWN, 55), (UP, 56)]


def test_so_many_readings_in_a_row_are_needed(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE.model_copy(update={"readings": 3}))
        measure(tx, made[0], 56, 56, 40, 56, 57, 58, 59, 40, 60, 60)
        assert told(tx) == [(UP, 58), (DOWN, 40)]


def test_readings_that_come_late_do_not_flap(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE)
        measure(tx, made[0], 40, start=10)
        measure(tx, made[0], 99, start=5)
        assert told(tx) == [], "it is over"
        measure(tx, made[0], 60, start=20)
        measure(tx, made[0], 40, start=15)
        measure(tx, made[0], 99, start=16)
        assert told(tx) == [(UP, 60)], "it is not well again"
        measure(tx, made[0], 45, start=21)
        assert told(tx) == [(UP, 60), (DOWN, 45)]


TODAY = datetime(2026, 1, 1, tzinfo=UTC)
NOON = NOW + 12 * HOUR


@pytest.mark.parametrize("folds", [False, True])
@pytest.mark.parametrize("hours", [18, 40, 24 * 365 * 4])
def test_a_reading_from_the_future_silences_nothing(engine: sa.Engine, hours: int, folds: bool) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE.model_copy(update={"readings": 2}))

        def take(minutes: float, value: float, *, batch: bool = False) -> None:
            row = reading(made[0], minutes, value, start=TODAY)
            if batch:
                intake.accept_many(tx, [row], now=NOON)
            else:
                intake.accept(tx, row, now=NOON)
            work(tx, now=NOON)
            if folds:
                folding.fold_tail(tx, now=NOON, size=1)

        take(11 * 60, 60)
        take(hours * 60, 99)
        take(hours * 60 + 1, 99, batch=True)
        assert told(tx) == [], "their time has not come"
        take(12 * 60, 61)
        take(12 * 60 + 1, 40, batch=True)
        assert told(tx) == [(UP, 61), (DOWN, 40)]


def test_clocks_may_be_a_little_ahead(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE)
        intake.accept(tx, reading(made[0], 6, 60, start=TODAY), now=NOW)
        work(tx)
        assert told(tx) == []
        intake.accept(tx, reading(made[0], 4, 61, start=TODAY), now=NOW)
        work(tx)
        assert told(tx) == [(UP, 61)]


def test_what_was_seen_while_the_hubs_own_clock_was_ahead_counts_no_more(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE)
        intake.accept(tx, reading(made[0], 0, 60, start=TODAY + timedelta(days=400)), now=NOW + 400 * DAY)
        work(tx, now=NOW + 400 * DAY)
        intake.accept(tx, reading(made[0], 0, 40, start=TODAY), now=NOW)
        work(tx)
        assert told(tx) == [(UP, 60), (DOWN, 40)]


def test_jobs_may_come_late_and_again(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE.model_copy(update={"readings": 2}))
        measure(tx, made[0], 40, 56, 57, 58, 40, 41, works=False)
        work(tx)
        measure(tx, made[0], 60, 61, start=10)
        assert told(tx) == [(UP, 57), (DOWN, 40), (UP, 61)]
        work(tx)
        assert len(told(tx)) == 3, "a job that runs again tells nothing again"


def test_batches_are_looked_at_in_the_order_of_time(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE)
        values = [56, 40, 57, 58, 41, 60]
        rows: list[NewReading | str] = [reading(each, minute, v) for minute, v in enumerate(values) for each in made]
        intake.accept_many(tx, rows[::-1], now=NOW)
        assert len(find_jobs(tx, kind=rule_watch.KIND, limit=5)) == 1
        work(tx)
        expected = [(UP, 56), (DOWN, 40), (UP, 57), (DOWN, 41), (UP, 60)]
        assert told(tx) == expected * 2
        late: list[NewReading | str] = [reading(made[0], 0.5, 99), reading(made[0], 4.5, 10)]
        intake.accept_many(tx, late, now=NOW)
        work(tx)
        assert told(tx) == expected * 2


def test_files_are_looked_at_only_when_asked(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE)
        for start, watched_at in ((0, None), (10, NOW)):
            rows = [reading(made[0], start + minute, value) for minute, value in enumerate((40, 60))]
            bulk.insert_known(tx, sort(intake._to_columns(rows, NOW))[0], watched_at=watched_at)
            work(tx)
        times = [event.data["timestamp"] for event in find_events(tx, topic="grid.threshold", limit=5)]
        assert times == ["1969-12-30T00:11:00.000000Z"]


def test_of_many_crossings_at_once_the_last_are_told_of(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE)
        rows: list[NewReading | str] = [reading(made[0], n, 60.0 + n if n % 2 else 0.0) for n in range(100)]
        intake.accept_many(tx, rows, now=NOW)
        work(tx)
        assert len(told(tx)) == rule_watch.MOST_TOLD
        assert told(tx)[-1] == (UP, 159)


def test_readings_that_turn_nothing_make_no_job(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE)
        add(tx, ABOVE.model_copy(update={"name": "b", "component_type": "SWITCH", "bound": 50.5}))
        add(tx, ABOVE.model_copy(update={"name": "c", "component_id": made[1], "bound": 50.5}))
        measure(tx, made[0], 10, 20, 60, 61, 62, 51)
        rows: list[NewReading | str] = [reading(made[0], 50, 99), reading(made[1], 50, 1)]
        intake.accept_many(tx, rows, now=NOW)
        assert len(find_jobs(tx, kind=rule_watch.KIND, limit=50)) == 1


def test_what_is_refused_makes_no_job(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE)
        measure(tx, made[0], 60)
        with pytest.raises(Exception, match="has a reading"):
            measure(tx, made[0], 60)
        assert len(find_jobs(tx, kind=rule_watch.KIND, limit=50)) == 1


def test_a_component_of_another_kind_is_let_go_by_rules_for_the_old_one(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE.model_copy(update={"name": "lines", "component_type": "LINE"}))
        add(tx, ABOVE)
        measure(tx, made[0], 60)
        switch = {"component_type": "SWITCH", "name": "S", "substation": "North", "status": "OPEN"}
        components.replace(tx, made[0], check(switch), by="test", now=NOW)
        (event,) = find_events(tx, topic="grid.threshold_cleared", limit=5)
        assert (event.data["rule_name"], event.data["reason"]) == ("lines", "the component has become a SWITCH")
        assert len(rules.list_crossings(tx, limit=5)) == 1


def test_a_component_that_goes_takes_its_crossings_and_rules_along(engine: sa.Engine) -> None:
    with lines(engine) as (tx, made):
        add(tx, ABOVE)
        own = add(tx, ABOVE.model_copy(update={"name": "own", "component_id": made[0]}))
        measure(tx, made[0], 60)
        measure(tx, made[1], 60)
        components.delete(tx, made[0], by="test", now=NOW)
        assert [each.component_id for each in rules.list_crossings(tx, limit=5)] == [made[1]]
        assert own not in [each.id for each in rules.list_rules(tx, limit=5).items]
        reasons = [event.data["reason"] for event in find_events(tx, topic="grid.threshold_cleared", limit=5)]
        assert reasons == ["the component was deleted"] * 2
        rule_watch.watch(tx, [Watched(to_series(made[0], "POWER"), 0)], now=NOW)  # was on its way
        work(tx)


def expected(rule: ThresholdRuleIn, values: list[float]) -> Told:
    """By the book: every reading, one after the other."""
    found, streak, raised = [], 0, False
    for value in values:
        streak = streak + 1 if value > rule.bound else 0
        if not raised and streak >= rule.readings:
            raised = True
            found.append((UP, value))
        elif raised and value <= (rule.bound if rule.clear is None else rule.clear):
            raised = False
            found.append((DOWN, value))
    return found


VALUES = st.lists(st.sampled_from([40.0, 50.0, 52.0, 55.0, 56.0, 60.0]), min_size=1, max_size=15)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=VALUES, readings=st.integers(1, 3), pace=st.integers(1, 4), folds=st.booleans())
def test_whenever_jobs_run_the_same_is_told(
    engine: sa.Engine, values: list[float], readings: int, pace: int, folds: bool
) -> None:
    rule = ABOVE.model_copy(update={"readings": readings})
    with lines(engine) as (tx, made):
        add(tx, rule)
        for minute, value in enumerate(values):
            intake.accept(tx, reading(made[0], minute * 500, value), now=NOW)
            if minute % pace == 0:
                work(tx)
            if folds:
                folding.fold_tail(tx, now=NOW, size=3)
        work(tx)
        assert told(tx) == expected(rule, values)


def test_a_course_goes_on_where_the_one_before_ended(engine: sa.Engine) -> None:
    with lines(engine) as (tx, _):
        row = rules._get(tx, add(tx, ABOVE.model_copy(update={"readings": 3})))
        assert walk(row, [(1, 60)], before=[60, 60], raised=False)[0].at == 1
        assert walk(row, [(1, 60)], before=[60, 40, 60], raised=False) == []
        assert walk(row, [(1, 60)], before=[60, 60], raised=True) == []


async def test_writers_and_jobs_at_the_same_time_lose_nothing(context: Context) -> None:
    """The last reading of each component says how it stands, whatever runs beside what."""

    def prepare(tx: sa.Connection) -> list[int]:
        add(tx, ABOVE)
        return [components.add(tx, check({**LINE, "name": f"L{n}"}), by="test", now=NOW).id for n in range(4)]

    made = await context.db.write(prepare)
    ended = asyncio.Event()

    async def do_jobs() -> None:
        while not ended.is_set():
            await context.db.write(rule_watch.follow, now=NOW)
            await asyncio.sleep(0)

    async def send(component: int) -> None:
        for minute in range(40):
            await context.db.write(intake.accept, reading(component, minute, 60.0 if minute % 2 else 40.0), now=NOW)

    workers = [asyncio.create_task(do_jobs()) for _ in range(3)]
    await asyncio.gather(*(send(component) for component in made))
    ended.set()
    await asyncio.gather(*workers)
    await context.db.write(work)
    crossings = await context.db.read(rules.list_crossings, limit=9)
    assert sorted(each.component_id for each in crossings) == sorted(made)
    events = await context.db.read(find_events, topic="grid.*", limit=500)
    for component in made:
        topics = [event.topic for event in events if event.data["component"] == component][::-1]
        assert topics == [rule_watch.RAISED, rule_watch.CLEARED] * (len(topics) // 2) + [rule_watch.RAISED]
        assert len(topics) == 39
