"""The hot paths of tasks over HTTP."""

import asyncio
import json

import pytest

from signalbox.core.errors import InvalidError, UnprocessableError
from signalbox.tasks.endpoints import MOST_ROWS, BatchTooLongError, decode_row, split_rows, to_number, to_wait
from signalbox.tasks.errors import TaskNotFoundError
from signalbox.tasks.schemas import NewTask
from tests.support.hub import request
from tests.support.timing import PATIENCE
from tests.tasks.conftest import NAME, Office


async def test_existing_clients_are_served_as_before(office: Office) -> None:
    answer = await office.call("POST", "/api/tasks/", {"id": 1, "status": "Not Started"})
    assert answer.status == 201
    made = json.loads(answer.body)["task"]
    assert (made["id"], made["status"], made["provider"], made["validation_error"]) == (1, "Not Started", None, None)
    assert answer.value(b"location") == b"/api/tasks/1"
    assert (await office.get("/api/tasks/1"))["task"] == made
    assert (await office.get("/api/tasks/1/"))["task"] == made
    office.provider.book.set("1", "Completed", None)
    assert (await office.until(1, "Completed"))["updated_at"] > made["updated_at"]


async def test_a_task_goes_to_its_provider_and_through_all_statuses(office: Office) -> None:
    made = await office.hand_over(provider=NAME, payload={"range": "192.168.1.256"})
    found = await office.until(made["id"], "Completed")
    assert (found["external_id"], found["attempts"], found["provider"]) == (str(made["id"]), 1, NAME)
    assert office.provider.report()["doubles"] == {}
    assert json.loads(office.provider.received[0].body)["payload"] == {"range": "192.168.1.256"}


WRONG = (
    (b'{"id": 1}', 409, "duplicate_task"),
    (b'{"id": "1"}', 422, "validation_error"),
    (b'{"id": 0}', 422, "validation_error"),
    (b'{"status": "Started"}', 422, "validation_error"),
    (b'{"stattus": "Not Started"}', 422, "validation_error"),
    (b'{"provider": "emca"}', 422, "unknown_provider"),
    (b'{"provider": "acme", "status": "Completed"}', 422, "validation_error"),
    (b'{"id": 1', 400, "invalid_json"),
    (b"[]", 422, "validation_error"),
    (b'{"payload": ' + b'{"a": ' * 200 + b"1" + b"}" * 201, 422, "validation_error"),
    (b'{"payload": ' + b'{"a": ' * 5_000 + b"1" + b"}" * 5_001, 400, "invalid_json"),
)


async def test_wrong_tasks_are_refused_with_reasons(office: Office) -> None:
    await office.hand_over(id=1)
    for body, status, code in WRONG:
        answer = await office.call("POST", "/api/tasks", raw=body)
        assert (answer.status, json.loads(answer.body)["code"]) == (status, code), body


async def test_a_repeated_request_gets_the_first_answer(office: Office) -> None:
    first, second = [
        await office.call("POST", "/api/tasks", {"payload": {"a": 1}}, Idempotency_Key="k") for _ in range(2)
    ]
    assert (first.status, first.body) == (second.status, second.body)
    assert second.value(b"idempotent-replayed") == b"true"
    other = await office.call("POST", "/api/tasks", {"payload": {"a": 2}}, Idempotency_Key="k")
    assert other.status == 422
    assert len(await office.get("/api/tasks")) == 1


async def test_a_task_that_is_not_there(office: Office) -> None:
    answer = await office.call("GET", "/api/tasks/9999")
    assert (answer.status, json.loads(answer.body)["detail"]) == (404, "Task with ID 9999 not found")
    assert (await office.call("GET", "/api/tasks/x")).status == 422
    for number in (0, -1, 2**53, 2**70):
        assert (await office.call("GET", f"/api/tasks/{number}")).status == 404
        assert (await office.call("PATCH", f"/api/tasks/{number}", {})).status == 404
        assert (await office.call("DELETE", f"/api/tasks/{number}")).status == 404
    assert (await office.call("GET", "/api/tasks/1?wait=x")).status == 422


async def test_a_batch_has_a_result_for_each_row(office: Office) -> None:
    rows = [b'{"id": 5}', b'{"id": 5}', b'{"id": "x"}', b'{"provider": "acme"}']
    answer = await office.call("POST", "/api/tasks/batch", raw=b"\n\n".join(rows) + b"\r\n")
    assert answer.status == 200
    results = json.loads(answer.body)
    assert [each["status"] for each in results] == [201, 409, 422, 201]
    answer = await office.call("POST", "/api/tasks/batch", raw=b" [" + b", ".join(rows) + b"]")
    assert [each["status"] for each in json.loads(answer.body)] == [409, 409, 422, 201]
    await office.until(results[3]["id"], "Completed")


async def test_a_batch_may_have_thousands(office: Office) -> None:
    answer = await office.call("POST", "/api/tasks/batch", [{"payload": {"n": number}} for number in range(5_000)])
    assert {each["status"] for each in json.loads(answer.body)} == {201}


async def test_a_long_poll_ends_with_the_change_or_the_time(office: Office) -> None:
    await office.hand_over(id=1)
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(office.get("/api/tasks/1?wait=60"))
    await asyncio.sleep(0.1)
    start = loop.time()
    assert (await office.call("PATCH", "/api/tasks/1", {"status": "Completed"})).status == 202
    assert (await waiting)["task"]["status"] == "Completed"
    assert loop.time() - start < 10
    start = loop.time()
    assert (await office.get("/api/tasks/1?wait=60"))["task"]["status"] == "Completed"
    assert loop.time() - start < 10, "what has ended is not waited for"
    await office.hand_over(id=2)
    assert (await office.get("/api/tasks/2?wait=0.2"))["task"]["status"] == "Not Started"


async def test_a_long_poll_ends_when_its_task_is_taken_back(office: Office) -> None:
    await office.hand_over(id=1)
    waiting = asyncio.create_task(office.call("GET", "/api/tasks/1?wait=60"))
    await asyncio.sleep(0.1)
    assert (await office.call("DELETE", "/api/tasks/1")).status == 204
    assert (await asyncio.wait_for(waiting, PATIENCE)).status == 404


async def test_a_stream_tells_of_tasks_that_come_and_go(office: Office) -> None:
    token = (await office.hub.token("tasks:read", app="reader")).text
    async with office.hub.client() as client:
        await client.send(request(b"/api/tasks/stream", headers=[(b"Token", token.encode())]))
        await client.head()
        await client.reader.readuntil(b"retry")
        async with asyncio.timeout(PATIENCE):
            await office.hand_over(id=7)
            await client.reader.readuntil(b"event: task")
            await office.call("DELETE", "/api/tasks/7")
            await client.reader.readuntil(b"event: deleted")
            assert b'{"id":7}' in await client.reader.readuntil(b"\n\n")


async def test_a_stream_tells_of_each_change(office: Office) -> None:
    await office.hand_over(id=1)
    token = (await office.hub.token("tasks:read", app="reader")).text
    async with office.hub.client() as client:
        await client.send(request(b"/api/tasks/stream", headers=[(b"Token", token.encode())]))
        status, headers, _ = await client.head()
        assert status == 200
        assert dict(headers)[b"content-type"].startswith(b"text/event-stream")
        await client.reader.readuntil(b"retry")
        await office.call("PATCH", "/api/tasks/1", {"validation_error": "Invalid"})
        async with asyncio.timeout(PATIENCE):
            told = await client.reader.readuntil(b"\n\n" + b"\r\n")
            while b"event: task" not in told:
                told = await client.reader.readuntil(b"\n\n" + b"\r\n")
    data = next(line for line in told.split(b"\n") if line.startswith(b"data: "))
    assert json.loads(data.removeprefix(b"data: "))["validation_error"] == "Invalid"


async def test_scopes_are_asked_for(office: Office) -> None:
    token = (await office.hub.token("tasks:read", app="reader")).text
    fields = [(b"Token", token.encode())]
    assert (await office.hub.ask(b"/api/tasks", method=b"POST", headers=fields, body=b"{}")).status == 403
    assert (await office.hub.ask(b"/api/tasks/1")).status == 401
    assert (await office.hub.ask(b"/api/tasks/stream")).status == 401


def test_too_long_a_batch_is_refused() -> None:
    assert len(split_rows(b"{}\n" * MOST_ROWS)) == MOST_ROWS
    with pytest.raises(BatchTooLongError, match="10000 are allowed"):
        split_rows(b"{}\n" * (MOST_ROWS + 1))
    with pytest.raises(InvalidError, match="neither a JSON array"):
        split_rows(b"[{}")
    with pytest.raises(InvalidError, match="neither a JSON array"):
        split_rows(b"[" * 100_000 + b"]" * 100_000)


def test_rows_are_tasks_or_errors() -> None:
    assert decode_row(b'{"id": 1}') == NewTask(id=1)
    assert isinstance(decode_row(b'{"id"'), UnprocessableError)
    assert isinstance(decode_row(b'{"idd": 1}'), UnprocessableError)
    assert isinstance(decode_row(b'{"payload": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"), UnprocessableError)


def test_numbers_and_waits() -> None:
    assert to_number("17") == 17
    for text in ("-", "x", "", "1.5", "\u0661", "--1"):
        with pytest.raises(UnprocessableError):
            to_number(text)
    for text in ("0", "-1", "9" * 400):
        with pytest.raises(TaskNotFoundError):
            to_number(text)
    assert (to_wait(b""), to_wait(b"wait=2.5")) == (0.0, 2.5)
    for query in (b"wait=61", b"wait=-1", b"wait=nan", b"wait=x"):
        with pytest.raises(UnprocessableError):
            to_wait(query)
