import asyncio
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from signalbox.core.errors import ConflictError
from signalbox.infra.db import Database
from signalbox.infra.events import Event, find_events, publish
from signalbox.infra.idempotency import (
    IdempotencyInFlightError,
    IdempotencyMismatchError,
    KeyedRequest,
    StoredAnswer,
    answer_once,
    begin,
    delete_answers,
    finish,
    forget,
)
from signalbox.infra.idempotency.ledger import HOLD
from tests.support.databases import Place, PostgresqlPlace
from tests.support.processes import ROOT

NOW = 1_767_225_600_000_000
REQUEST = KeyedRequest("app:shop", "POST /api/tasks", "abc", b"1" * 32)
CREATED = StoredAnswer(201, b'{"id": 1}\0\xff', (("location", "/api/tasks/1"), ("x-more", "é")))

CHILD = """
import asyncio, sys
from signalbox.infra.db.postgresql import open_postgresql
from tests.infra.idempotency.test_ledger import REQUEST, NOW, work
from signalbox.infra.idempotency import answer_once
from dataclasses import replace

async def main():
    database = open_postgresql(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    async def ask(number):
        await database.write(answer_once, replace(REQUEST, key=str(number)), work, now=NOW)
    await asyncio.gather(*(ask(number) for number in range(50)[:: int(sys.argv[2])]))
    await database.close()

asyncio.run(main())
"""


def work(tx: sa.Connection) -> StoredAnswer:
    """What a request does: leaves an event, and answers with its id."""
    number = publish(tx, Event("test.worked", {}), now=NOW)
    return StoredAnswer(201, str(number).encode())


async def worked(database: Database) -> int:
    return len(await database.read(find_events, limit=500))


async def ask(
    database: Database, request: KeyedRequest | None = REQUEST, *, now: int = NOW
) -> tuple[StoredAnswer, bool]:
    return await database.write(answer_once, request, work, now=now)


# -- once -------------------------------------------------------------------------------------------------------------


async def test_a_repeat_gets_the_first_answer_and_does_nothing(database: Database) -> None:
    first, replayed = await ask(database)
    assert not replayed
    for later in (0, 1, HOLD * 10):
        assert await ask(database, now=NOW + later) == (first, True)
    assert await worked(database) == 1


async def test_an_answer_comes_back_byte_by_byte(database: Database) -> None:
    await database.write(answer_once, REQUEST, lambda _: CREATED, now=NOW)
    assert await ask(database) == (CREATED, True)


async def test_without_a_key_the_work_is_always_done(database: Database) -> None:
    for _ in range(2):
        assert (await ask(database, None))[1] is False
    assert await worked(database) == 2


async def test_callers_operations_and_keys_are_apart(database: Database) -> None:
    others = [
        replace(REQUEST, caller="app:other"),
        replace(REQUEST, operation="PUT /api/tasks"),
        replace(REQUEST, key="ABC"),
    ]
    for request in (REQUEST, *others):
        assert (await ask(database, request))[1] is False
    assert await worked(database) == 4


async def test_a_key_of_another_request_is_refused(database: Database) -> None:
    await ask(database)
    with pytest.raises(IdempotencyMismatchError, match="another path or body"):
        await ask(database, replace(REQUEST, digest=b"2" * 32))
    assert await worked(database) == 1


async def test_failures_leave_the_key_free(database: Database) -> None:
    def refuse(tx: sa.Connection) -> StoredAnswer:
        work(tx)
        msg = "no"
        raise ConflictError(msg)

    with pytest.raises(ConflictError):
        await database.write(answer_once, REQUEST, refuse, now=NOW)
    given = await database.write(answer_once, REQUEST, lambda _: StoredAnswer(404, b"{}"), now=NOW)
    assert given == (StoredAnswer(404, b"{}"), False)
    assert (await ask(database))[1] is False
    assert await worked(database) == 1


async def test_of_many_at_the_same_time_one_does_it(place: Place) -> None:
    databases = [place.open() for _ in range(3)]
    keys = [replace(REQUEST, key=str(number)) for number in range(20)]
    given = await asyncio.gather(*(ask(databases[turn % 3], key) for turn in range(12) for key in keys))
    assert sum(not replayed for _, replayed in given) == len(keys)
    assert len({answer.body for answer, _ in given}) == len(keys)
    assert await worked(databases[0]) == len(keys)
    await asyncio.gather(*(each.close() for each in databases))


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_the_second_waits_for_the_first_to_commit(place: Place) -> None:
    first, second = place.open(), place.open()
    holds, may_end = threading.Event(), threading.Event()

    def slow(tx: sa.Connection) -> StoredAnswer:
        given = work(tx)
        holds.set()
        assert may_end.wait(20)
        return given

    one = asyncio.create_task(first.write(answer_once, REQUEST, slow, now=NOW))
    await asyncio.to_thread(holds.wait, 20)
    two = asyncio.create_task(ask(second))
    await asyncio.sleep(0.05)
    assert not two.done()
    may_end.set()
    given, replayed = await one
    assert (replayed, await two) == (False, (given, True))
    await asyncio.gather(first.close(), second.close())


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_the_second_does_it_where_the_first_was_undone(place: Place) -> None:
    first, second = place.open(), place.open()
    holds, may_end = threading.Event(), threading.Event()

    def fail(tx: sa.Connection) -> StoredAnswer:
        work(tx)
        holds.set()
        assert may_end.wait(20)
        msg = "no"
        raise ConflictError(msg)

    one = asyncio.create_task(first.write(answer_once, REQUEST, fail, now=NOW))
    await asyncio.to_thread(holds.wait, 20)
    two = asyncio.create_task(ask(second))
    await asyncio.sleep(0.05)
    may_end.set()
    with pytest.raises(ConflictError):
        await one
    assert (await two)[1] is False
    assert await worked(first) == 1
    await asyncio.gather(first.close(), second.close())


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_of_two_processes_one_does_it_even_in_opposite_orders(place: PostgresqlPlace, database: Database) -> None:
    """Each process holds keys that the other waits for: the server breaks that up, and nobody notices."""
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, place.url, order, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for order in ("1", "-1")
    ]
    async with asyncio.timeout(50):
        for child in children:
            assert child.stdout is not None
            assert await child.stdout.readline() == b"ready\n"
        await asyncio.gather(*(child.communicate(b"go\n") for child in children))
    assert [child.returncode for child in children] == [0, 0]
    assert await worked(database) == 50


# -- in transactions of its own ---------------------------------------------------------------------------------------


async def test_while_the_first_is_in_flight_others_are_told_to_wait(database: Database) -> None:
    assert await database.write(begin, REQUEST, now=NOW) is None
    with pytest.raises(IdempotencyInFlightError) as caught:
        await database.write(begin, REQUEST, now=NOW + HOLD - 1)
    assert caught.value.retry_after >= 1
    with pytest.raises(IdempotencyMismatchError):
        await database.write(begin, replace(REQUEST, digest=b"2" * 32), now=NOW)
    await database.write(finish, REQUEST, CREATED)
    assert await database.write(begin, REQUEST, now=NOW) == CREATED


async def test_a_request_that_failed_gives_its_key_back(database: Database) -> None:
    await database.write(begin, REQUEST, now=NOW)
    await database.write(forget, REQUEST)
    assert await database.write(begin, REQUEST, now=NOW) is None
    await database.write(finish, REQUEST, CREATED)
    await database.write(forget, REQUEST)
    assert await database.write(begin, REQUEST, now=NOW) == CREATED


async def test_the_key_of_a_process_that_died_is_free_after_a_while_for_one(database: Database) -> None:
    await database.write(begin, REQUEST, now=NOW)
    other = replace(REQUEST, digest=b"2" * 32)
    assert await database.write(begin, other, now=NOW + HOLD) is None
    with pytest.raises(IdempotencyInFlightError):
        await database.write(begin, other, now=NOW + HOLD + 1)
    await database.write(finish, other, CREATED)
    assert await database.write(begin, other, now=NOW + 9 * HOLD) == CREATED


# -- retention --------------------------------------------------------------------------------------------------------


async def test_the_old_are_deleted_in_batches(database: Database) -> None:
    for number in range(5):
        await ask(database, replace(REQUEST, key=str(number)), now=NOW + number)
    deleted = []
    while count := await database.write(delete_answers, older_than=NOW + 4, limit=3):
        deleted.append(count)
    assert deleted == [3, 1]
    assert (await ask(database, replace(REQUEST, key="4")))[1] is True
    assert (await ask(database, replace(REQUEST, key="0")))[1] is False
