import pytest

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.infra.db import Database
from signalbox.infra.jobs import Every, Schedule, ScheduleNotFoundError
from signalbox.infra.jobs.schedule import fire
from signalbox.ops.schedules import list_schedules, pause, resume, run_now

NOW = 1_767_225_600_000_000
SECOND = 1_000_000


@pytest.fixture
async def database(database: Database) -> Database:
    """With one schedule."""
    await database.write(fire, [Schedule("s", "test.work", Every(SECOND))], now=NOW)
    return database


async def test_schedules_are_shown_with_their_moments(database: Database) -> None:
    (shown,) = await database.read(list_schedules)
    assert (shown.name, shown.kind, shown.rule, shown.last_at) == ("s", "test.work", "every 1000000+0", None)
    assert shown.model_dump(mode="json")["next_at"] == "2026-01-01T00:00:01Z"


async def test_what_people_do_is_in_the_audit_trail_once(database: Database) -> None:
    for _ in range(2):
        await database.write(pause, "s", actor="user:anna", now=NOW)
    job = await database.write(run_now, "s", actor="user:anna", now=NOW)
    for _ in range(2):
        assert (await database.write(resume, "s", actor="user:anna", now=NOW)).paused_at is None
    entries = await database.read(list_entries, wanted=AuditFilter(target="schedule:s"), limit=9)
    assert [(each.action, each.before, each.after) for each in entries] == [
        ("schedule.resume", {"paused": True}, {"paused": False}),
        ("schedule.run", None, {"job": job.id}),
        ("schedule.pause", {"paused": False}, {"paused": True}),
    ]


async def test_there_is_no_such_schedule(database: Database) -> None:
    for action in (pause, resume, run_now):
        with pytest.raises(ScheduleNotFoundError, match="no schedule 'x'"):
            await database.write(action, "x", actor="user:anna", now=NOW)
