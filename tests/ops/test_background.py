import pytest

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.core.pagination import InvalidCursorError
from signalbox.core.times import to_rfc3339
from signalbox.infra.db import Database
from signalbox.infra.jobs import JobEndedError, JobNotFoundError, NewJob, Report, enqueue, enqueue_many
from signalbox.infra.jobs.queue import claim, record
from signalbox.ops.background import cancel_job, change_jobs, list_jobs, retry_job, retry_jobs, show_job, summarize_jobs

NOW = 1_767_225_600_000_000


async def put(database: Database) -> int:
    number = await database.write(enqueue, "test.work", {"n": 1}, now=NOW, key="k", priority=1, due_at=NOW + 5)
    assert number is not None
    return number


async def trail(database: Database) -> list[tuple[object, ...]]:
    entries = await database.read(list_entries, wanted=AuditFilter(), limit=9)
    return [(each.action, each.actor, each.target, each.before, each.after) for each in entries]


async def test_a_job_is_shown_with_its_times_as_moments(database: Database) -> None:
    number = await put(database)
    shown = (await database.read(show_job, number)).model_dump(mode="json")
    assert (shown["id"], shown["kind"], shown["state"], shown["payload"]) == (number, "test.work", "waiting", {"n": 1})
    assert shown["due_at"] == to_rfc3339(NOW + 5)
    assert (shown["started_at"], shown["worker"], shown["key"], shown["priority"]) == (None, None, "k", 1)
    with pytest.raises(JobNotFoundError):
        await database.read(show_job, 99)


async def test_pages_cover_everything_once(database: Database) -> None:
    new = [NewJob(f"test.{'ab'[number % 2]}", {"n": number}) for number in range(10)]
    await database.write(enqueue_many, new, now=NOW)
    seen, cursor = [], None
    while True:
        page = await database.read(list_jobs, state="waiting", kind="test.b", limit=2, cursor=cursor)
        seen += [job.payload["n"] for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [9, 7, 5, 3, 1]
    assert (await database.read(list_jobs, state="dead", kind=None, limit=2)).items == []
    with pytest.raises(InvalidCursorError):
        await database.read(list_jobs, state=None, kind=None, limit=3, cursor="x")


async def test_what_people_change_is_in_the_audit_trail(database: Database) -> None:
    number = await put(database)
    cancelled = await database.write(cancel_job, number, actor="user:anna", now=NOW + 1)
    assert cancelled.state == "cancelled"
    again = await database.write(retry_job, number, actor="cli:root", now=NOW + 2)
    assert (again.state, again.due_at.isoformat()) == ("waiting", "2026-01-01T00:00:00.000002+00:00")
    waiting = {"kind": "test.work", "state": "waiting", "attempts": 0}
    ended = {**waiting, "state": "cancelled"}
    assert await trail(database) == [
        ("job.retry", "cli:root", f"job:{number}", ended, waiting),
        ("job.cancel", "user:anna", f"job:{number}", waiting, ended),
    ]


async def test_what_is_refused_leaves_no_trace(database: Database) -> None:
    number = await put(database)
    await database.write(cancel_job, number, actor="user:anna", now=NOW + 1)
    with pytest.raises(JobEndedError):
        await database.write(cancel_job, number, actor="user:anna", now=NOW + 2)
    with pytest.raises(JobNotFoundError):
        await database.write(retry_job, 99, actor="user:anna", now=NOW + 2)
    assert len(await trail(database)) == 1


async def test_many_run_again_with_one_entry_in_the_audit_trail(database: Database) -> None:
    await database.write(enqueue_many, [NewJob("test.work", {})] * 3, now=NOW)
    jobs = await database.write(claim, "test.work", worker="w", limit=3, now=NOW, lease=9)
    await database.write(record, [Report(job, "dead", NOW) for job in jobs], now=NOW)

    async def again(kind: str | None) -> int:
        return await database.write(
            retry_jobs, state="dead", kind=kind, limit=2, actor="user:anna", now=NOW + 1, request_id="r"
        )

    assert await again("test.other") == 0
    assert [await again("test.work"), await again(None), await again(None)] == [2, 1, 0]
    dead = {"state": "dead"}
    assert await trail(database) == [
        ("job.retry_many", "user:anna", "job:*", dead, {"state": "waiting", "count": 1}),
        ("job.retry_many", "user:anna", "job:test.work", dead, {"state": "waiting", "count": 2}),
    ]


async def test_a_summary_says_for_how_long_the_first_job_has_been_due(database: Database) -> None:
    await put(database)
    (found,) = await database.read(summarize_jobs, now=NOW + 5 + 3_000_000)
    assert (found.kind, found.waiting, found.running, found.dead, found.overdue_seconds) == ("test.work", 1, 0, 0, 3.0)
    (early,) = await database.read(summarize_jobs, now=NOW)
    assert early.overdue_seconds == 0


async def test_one_that_cannot_be_changed_keeps_no_other_from_it(database: Database) -> None:
    first = await put(database)
    await database.write(cancel_job, first, actor="user:anna", now=NOW)
    second = await put(database)  # has the key now
    third = await database.write(enqueue, "test.work", {}, now=NOW)
    assert third is not None
    said = await database.write(change_jobs, [third, first, second], action="retry", actor="user:anna", now=NOW + 1)
    assert [(each.id, each.done, each.code) for each in said] == [
        (third, True, None),
        (first, False, "job_key_in_use"),
        (second, True, None),
    ]
