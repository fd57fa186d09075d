import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from signalbox.core.errors import ConflictError, InvalidError
from signalbox.infra.db import Database
from signalbox.infra.jobs import NewJob, enqueue, enqueue_many, find_jobs
from tests.support.databases import Place

NOW = 1_767_225_600_000_000
AWKWARD: dict[str, Any] = {"text": "é\0\ud800'\"\\", "number": 2**53 + 1, "real": 0.1, "list": [{"deep": [None]}]}


async def test_a_job_is_there_exactly_when_its_change_is(database: Database) -> None:
    def refuse(tx: sa.Connection) -> None:
        enqueue(tx, "test.work", {}, now=NOW)
        msg = "not now"
        raise ConflictError(msg)

    with pytest.raises(ConflictError):
        await database.write(refuse)
    assert await database.read(find_jobs, limit=9) == []


@pytest.mark.parametrize("payload", [{"x": float("nan")}, {"x": object()}, {"x": {1, 2}}])
async def test_a_payload_that_is_no_json_is_refused(database: Database, payload: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        await database.write(enqueue, "test.work", payload, now=NOW)
    with pytest.raises((TypeError, ValueError)):
        await database.write(enqueue_many, [NewJob("test.work", payload)], now=NOW)
    assert await database.read(find_jobs, limit=9) == []


async def test_what_is_not_of_its_form_is_refused(database: Database) -> None:
    with pytest.raises(InvalidError):
        await database.write(enqueue, "work", {}, now=NOW)


async def test_many_at_once_are_as_one_by_one(place: Place) -> None:
    database = place.open()
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    new = [NewJob("test.work", AWKWARD, NOW + 5, "k/é'\"", 1, 3, 9, trace), NewJob("test.other", {"n": 1})]
    for each in new:
        assert await database.write(enqueue_one, each)
    await database.write(lambda tx: tx.exec_driver_sql("UPDATE job SET key = NULL") and None)
    assert await database.write(enqueue_many, new, now=NOW) == 2
    first, second, third, fourth = reversed(await database.read(find_jobs, limit=9))
    for one, of_many, key in ((first, third, "k/é'\""), (second, fourth, None)):
        same = ("kind", "payload", "priority", "due_at", "max_attempts", "created_at", "state", "traceparent")
        assert [getattr(one, name) for name in same] == [getattr(of_many, name) for name in same]
        assert of_many.key == key
    assert third.payload == AWKWARD
    await database.close()


def enqueue_one(tx: sa.Connection, new: NewJob) -> int | None:
    return enqueue(
        tx,
        new.kind,
        new.payload,
        now=NOW,
        due_at=new.due_at,
        key=new.key,
        priority=new.priority,
        max_attempts=new.max_attempts,
        max_age=new.max_age,
        traceparent=new.traceparent,
    )


async def test_of_many_those_whose_keys_are_in_use_are_left_out(database: Database) -> None:
    new = [NewJob("test.work", {"n": number}, key=f"k{number % 3}") for number in range(9)]
    assert await database.write(enqueue_many, new, now=NOW) == 3
    assert await database.write(enqueue_many, new, now=NOW) == 0
    assert await database.write(enqueue_many, [], now=NOW) == 0
    assert [job.payload["n"] for job in await database.read(find_jobs, limit=9)] == [2, 1, 0]


async def test_ids_grow_and_never_come_back(database: Database) -> None:
    given = [await database.write(enqueue, "test.work", {}, now=NOW) for _ in range(5)]
    assert given == sorted(given, key=lambda each: each or 0)
    await database.write(lambda tx: tx.exec_driver_sql("DELETE FROM job") and None)
    again = await database.write(enqueue, "test.work", {}, now=NOW)
    assert again is not None
    assert again > max(each or 0 for each in given)


async def test_processes_that_enqueue_one_key_at_once_make_one_job(place: Place) -> None:
    databases = [place.open() for _ in range(3)]
    given = await asyncio.gather(
        *(databases[number % 3].write(enqueue, "test.work", {}, now=NOW, key="k") for number in range(60))
    )
    assert sum(each is not None for each in given) == 1
    await asyncio.gather(*(each.close() for each in databases))
