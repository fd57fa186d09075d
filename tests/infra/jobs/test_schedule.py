from typing import Any

import pytest
import sqlalchemy as sa

from signalbox.core.errors import InvalidError
from signalbox.infra.db import Database
from signalbox.infra.jobs import (
    Every,
    Schedule,
    ScheduleBusyError,
    ScheduleNotFoundError,
    StoredSchedule,
    every,
    find_jobs,
    find_schedule,
    find_schedules,
    parse_cron,
    pause_schedule,
    resume_schedule,
    run_schedule,
)
from signalbox.infra.jobs.schedule import fire
from tests.support.databases import Place

SECOND = 1_000_000
START = 1_767_225_600_000_000


def test_moments_are_multiples_of_the_span() -> None:
    rule = Every(10 * SECOND, phase=3 * SECOND)
    assert rule.after(START) == START + 3 * SECOND
    assert rule.after(START + 3 * SECOND) == START + 13 * SECOND
    assert rule.after(START + 3 * SECOND - 1) == START + 3 * SECOND


def test_schedules_of_one_span_do_not_fire_together() -> None:
    moments = {every(f"sweep {number}", "test.work", 3_600 * SECOND).rule.after(START) for number in range(50)}
    assert len(moments) > 40
    assert all(START < moment <= START + 3_600 * SECOND for moment in moments)


def test_a_rule_has_a_text_that_changes_with_it() -> None:
    specs = {
        Schedule("x", "test.work", rule).spec
        for rule in (
            Every(SECOND),
            Every(2 * SECOND),
            Every(2 * SECOND, 1),
            parse_cron("* * * * *"),
            parse_cron("1 * * * *"),
        )
    }
    assert len(specs) == 5
    assert Schedule("x", "test.work", parse_cron("*  * * *  MON")).spec == "* * * * mon"


@pytest.mark.parametrize("name", ["", "a\nb", "n" * 101])
def test_names(name: str) -> None:
    with pytest.raises(InvalidError):
        Schedule(name, "test.work", Every(SECOND))


def test_what_repeats_too_often_is_refused() -> None:
    with pytest.raises(InvalidError):
        every("x", "test.work", SECOND - 1)
    with pytest.raises(InvalidError):
        Schedule("x", "work", Every(SECOND))


async def test_when_it_fired_last_is_kept(database: Database) -> None:
    schedule = Schedule("x", "test.work", Every(60 * SECOND), priority=1)
    for now in (START, START + 60 * SECOND):
        await database.write(fire, [schedule], now=now)
    (job,) = await database.read(find_jobs, limit=9)
    assert (job.key, job.priority, job.created_at) == ("schedule/x", 1, START + 60 * SECOND)
    row = await database.read(lambda tx: tx.exec_driver_sql("SELECT name, next_at, last_at FROM job_schedule").one())
    assert tuple(row) == ("x", START + 120 * SECOND, START + 60 * SECOND)


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_who_comes_second_fires_nothing_even_if_the_job_is_done_by_then(place: Place) -> None:
    schedule, now = Schedule("x", "test.work", Every(60 * SECOND)), START + 60 * SECOND
    engine, others = place.engine(), place.engine()
    with engine.begin() as tx:
        fire(tx, [schedule], now=START)

    def be_first(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE job_schedule"):
            with others.begin() as first:
                fire(first, [schedule], now=now)
                first.exec_driver_sql("UPDATE job SET state = 'done'")

    with engine.begin() as tx:
        sa.event.listen(tx, "before_cursor_execute", be_first)
        assert fire(tx, [schedule], now=now) == now + 60 * SECOND
        assert [job.state for job in find_jobs(tx, limit=9)] == ["done"]
    engine.dispose()
    others.dispose()


async def test_schedules_are_listed_with_their_moments(database: Database) -> None:
    schedules = [Schedule("b", "test.work", Every(SECOND)), Schedule("a", "test.work", parse_cron("0 0 * * *"))]
    assert await database.read(find_schedules) == []
    await database.write(fire, schedules, now=START)
    await database.write(fire, schedules, now=START + SECOND)
    assert await database.read(find_schedules) == [
        StoredSchedule("a", "0 0 * * *", START + 86_400 * SECOND, None, "test.work", None),
        StoredSchedule("b", "every 1000000+0", START + 2 * SECOND, START + SECOND, "test.work", None),
    ]


async def test_one_that_is_paused_lets_its_moments_pass_for_all_processes(database: Database) -> None:
    schedule = Schedule("x", "test.work", Every(60 * SECOND))
    await database.write(fire, [schedule], now=START)
    paused = await database.write(pause_schedule, "x", now=START + 1)
    assert paused.paused_at == START + 1
    assert (await database.write(pause_schedule, "x", now=START + 2)).paused_at == START + 1
    for minutes in (1, 2):
        following = await database.write(fire, [schedule], now=START + minutes * 60 * SECOND)
        assert following == START + (minutes + 1) * 60 * SECOND
    assert await database.read(find_jobs, limit=9) == []
    resumed = await database.write(resume_schedule, "x")
    assert (resumed.paused_at, resumed.last_at) == (None, None)
    await database.write(fire, [schedule], now=START + 170 * SECOND)
    assert await database.read(find_jobs, limit=9) == [], "what passed meanwhile is not made up for"
    await database.write(fire, [schedule], now=START + 180 * SECOND)
    assert len(await database.read(find_jobs, limit=9)) == 1


async def test_run_by_hand_it_enqueues_what_it_would_by_itself_once(database: Database) -> None:
    schedule = Schedule("x", "test.work", Every(60 * SECOND), {"all": True}, 1)
    await database.write(fire, [schedule], now=START)
    number = await database.write(run_schedule, "x", now=START + 5)
    (job,) = await database.read(find_jobs, limit=9)
    assert (job.id, job.kind, job.payload, job.priority, job.due_at) == (
        number,
        "test.work",
        {"all": True},
        1,
        START + 5,
    )
    with pytest.raises(ScheduleBusyError):
        await database.write(run_schedule, "x", now=START + 6)
    assert (await database.read(find_schedule, "x")).next_at == START + 60 * SECOND


async def test_what_a_schedule_of_an_older_release_enqueues_is_known_once_it_is_run(database: Database) -> None:
    schedule = Schedule("x", "test.work", Every(60 * SECOND))
    await database.write(fire, [schedule], now=START)
    await database.write(lambda tx: tx.exec_driver_sql("UPDATE job_schedule SET kind = ''").rowcount)
    with pytest.raises(ScheduleNotFoundError, match="once a worker"):
        await database.write(run_schedule, "x", now=START)
    await database.write(fire, [schedule], now=START)
    assert await database.write(run_schedule, "x", now=START)
