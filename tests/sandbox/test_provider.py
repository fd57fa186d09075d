import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from signalbox.sandbox.provider import LARGEST_TASK, ProviderApp
from signalbox.sandbox.provider_book import Pace
from signalbox.sandbox.provider_faults import AFTERWARDS, FAULTS
from signalbox.sandbox.server import LoopbackServer
from tests.sandbox.conftest import Fetch, RawExchange

STILL = Pace(waiting=3_600)


@pytest.fixture
async def provider() -> AsyncIterator[tuple[ProviderApp, str]]:
    app = ProviderApp(pace=STILL)
    async with LoopbackServer(app, grace=0.05) as server:
        yield app, server.url


async def ask(fetch: Fetch, url: str, method: str = "GET", body: Any = None) -> Any:
    answer = await fetch(url, method, None if body is None else json.dumps(body).encode())
    return json.loads(answer.body)


async def test_a_task_is_taken_and_shown_in_every_way(fetch: Fetch, provider: tuple[ProviderApp, str]) -> None:
    _, url = provider
    task = {"id": "7", "status": "Not Started"}
    assert await ask(fetch, f"{url}/tasks", "POST", {"id": 7, "reference": "r", "payload": {}}) == task
    assert await ask(fetch, f"{url}/tasks") == [task]
    assert await ask(fetch, f"{url}/tasks?ids=6,7") == [task]
    assert await ask(fetch, f"{url}/tasks/7") == task
    assert await ask(fetch, f"{url}/tasks?reference=r") == task
    assert (await fetch(f"{url}/tasks?reference=s")).status == 404
    assert (await fetch(f"{url}/tasks/6")).status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", None, 404),
        ("GET", "/tasks/1/2", None, 404),
        ("DELETE", "/tasks/1", None, 405),
        ("POST", "/tasks", b"[]", 422),
        ("POST", "/tasks", b'{"id":"\xff"}', 422),
        ("POST", "/tasks", b"", 422),
        ("POST", "/tasks", bytes(LARGEST_TASK + 1), 413),
        ("GET", "/tasks?ids=" + "1," * 1_001, None, 400),
        ("POST", "/control/nothing", b"{}", 404),
    ],
)
async def test_refusals(
    fetch: Fetch, provider: tuple[ProviderApp, str], method: str, path: str, body: bytes | None, status: int
) -> None:
    assert (await fetch(provider[1] + path, method, body)).status == status


async def test_the_limit_is_enforced_and_violations_counted(fetch: Fetch) -> None:
    app = ProviderApp(limits=["3/60s"])
    async with LoopbackServer(app) as server:
        answers = [await fetch(f"{server.url}/tasks") for _ in range(5)]
        report = await ask(fetch, f"{server.url}/control/report")
    assert [answer.status for answer in answers] == [200] * 3 + [429] * 2
    assert 0 < int(answers[3].values("retry-after")[0]) <= 60
    assert (report["violations"], report["impatient"], report["busiest"]) == (2, 1, {"3/1m": 5})


async def test_who_comes_before_an_ordered_pause_is_over_is_counted(
    fetch: Fetch, provider: tuple[ProviderApp, str]
) -> None:
    app, url = provider
    app.faults.order("limit")
    statuses = [(await fetch(f"{url}/tasks")).status for _ in range(2)]
    assert (statuses, app.gate.impatient, app.gate.refused) == ([429, 200], 1, 0)


async def test_who_has_no_token_is_refused(fetch: Fetch, exchange: RawExchange) -> None:
    async with LoopbackServer(ProviderApp(token="t0ken")) as server:
        assert (await fetch(f"{server.url}/tasks")).status == 401
        head = b"GET /tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t0ken\r\nConnection: close\r\n\r\n"
        assert (await exchange(server.url, head)).startswith(b"HTTP/1.1 200")


async def test_it_is_told_what_to_do_over_http(fetch: Fetch, provider: tuple[ProviderApp, str]) -> None:
    app, url = provider
    for reference in ("r", "r", "s"):
        await ask(fetch, f"{url}/tasks", "POST", {"reference": reference})
    await ask(fetch, f"{url}/control/tasks", "POST", [{"id": "1", "status": "Error", "message": "bad"}])
    assert await ask(fetch, f"{url}/tasks/1") == {"id": "1", "status": "Error", "error_message": "bad"}
    await ask(fetch, f"{url}/control/forget", "POST", ["1"])
    assert [each["id"] for each in await ask(fetch, f"{url}/tasks")] == ["2"]
    await ask(fetch, f"{url}/control/faults", "POST", {"how": "fail", "route": "list", "times": 9})
    assert (await fetch(f"{url}/tasks")).status == 500
    await fetch(f"{url}/control/faults", "DELETE")
    assert (await fetch(f"{url}/tasks")).status == 200
    report = await ask(fetch, f"{url}/control/report")
    assert (report["tasks"], report["submissions"], report["repeats"], report["doubles"]) == (1, 2, 1, {})
    arrivals = await ask(fetch, f"{url}/control/arrivals")
    assert [(route, admitted) for _, route, admitted in arrivals][:4] == [("submit", True)] * 3 + [("item", True)]
    assert len(arrivals) == len(app.gate.arrivals)


@pytest.mark.parametrize("how", sorted(FAULTS))
async def test_every_fault_can_be_ordered_and_is_over_after_it(
    exchange: RawExchange, provider: tuple[ProviderApp, str], how: str
) -> None:
    app, url = provider
    body = b'{"id":"1"}'
    call = b"POST /tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    app.faults.order(how)
    try:
        async with asyncio.timeout(0.3 if how in {"hang", "swallow"} else 10):
            answer = await exchange(url, call)
    except (TimeoutError, ConnectionResetError):
        answer = b""
    assert (not answer) is (how in {"hang", "swallow", "drop", "die"})
    assert (await exchange(url, call)).startswith(b"HTTP/1.1 201")
    assert app.book.submissions.total() == 1 + (how in AFTERWARDS)


async def test_a_broken_connection_is_noticed(exchange: RawExchange, provider: tuple[ProviderApp, str]) -> None:
    app, url = provider
    app.book.set("1", "Completed")
    app.faults.order("cut")
    head = b"GET /tasks HTTP/1.1\r\nHost: x\r\n\r\n"
    try:
        answer = await exchange(url, head)
    except ConnectionResetError:
        answer = b""
    assert not answer.endswith(b"]")
    assert (await exchange(url, head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).endswith(b"]")


async def test_a_long_list_is_quick(fetch: Fetch, provider: tuple[ProviderApp, str]) -> None:
    app, url = provider
    for number in range(100_000):
        app.book.add(str(number), None, app.now)
    started = time.process_time()
    answer = await fetch(f"{url}/tasks")
    assert len(json.loads(answer.body)) == 100_000
    assert time.process_time() - started < 5  # a tenth of that where nothing else runs


async def test_it_runs_as_a_process_of_its_own(fetch: Fetch) -> None:
    command = ["-m", "signalbox.sandbox.provider", "--limit", "2/60s", "--waiting", "0", "--not-idempotent"]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        for _ in range(2):
            assert (await ask(fetch, f"{url}/tasks", "POST", {"reference": "r"}))["status"] == "In Progress"
        assert (await fetch(f"{url}/tasks")).status == 429
        assert (await ask(fetch, f"{url}/control/report"))["doubles"] == {"r": 2}
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
