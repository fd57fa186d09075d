import json
from typing import Any

from tests.notifications.conftest import World
from tests.support.timing import until

HOOK = {"name": "bot", "secrets": ["opensesame"], "topic": "support", "description_path": "text"}


async def test_a_request_is_accepted_and_found_where_it_says(world: World) -> None:
    desk = await world.desk("chat", routes=[{"topic": "sales", "channels": ["chat"]}])
    body = {"topic": " SALES ", "description": "Please call back", "customer": "ACME", "metadata": {"n": 1}}
    answer = await desk.call("/api/assistance", body)
    said = json.loads(answer.body)
    assert answer.status == 202
    assert said == {"id": said["id"], "status": "accepted", "topic": "sales", "channels": ["chat"]}
    where = (answer.value(b"location") or b"").decode()
    assert where == f"/api/notifications/{said['id']}"
    found = await desk.get(where)
    assert (found["customer"], found["metadata"], found["source"]) == ("ACME", {"n": 1}, "api")


def nested(levels: int) -> list[Any]:
    inside: list[Any] = []
    for _ in range(levels - 1):
        inside = [inside]
    return inside


async def test_metadata_may_be_nested_as_deeply_as_lists_can_show(world: World) -> None:
    desk = await world.desk("chat")
    asked = await desk.ask(metadata={"a": nested(99)})
    (shown,) = await desk.get("/api/notifications")
    assert (shown["id"], shown["metadata"]) == (asked["id"], {"a": nested(99)})
    await desk.delivered(asked["id"])


async def test_what_is_wrong_with_a_request_is_said(world: World) -> None:
    desk = await world.desk("chat", routes=[{"topic": ["sales", "task.*"], "channels": ["chat"]}])
    whole = {"topic": "sales", "description": "x"}
    unknown = await desk.call("/api/assistance", {**whole, "topic": "other"})
    assert (unknown.status, json.loads(unknown.body)["code"]) == (400, "unknown_topic")
    assert "sales, task.*" in json.loads(unknown.body)["detail"]
    for body, status in (
        ({**whole, "description": " "}, 400),
        ({**whole, "topic": ""}, 400),
        ({"topic": "sales"}, 422),
        ({"description": "x"}, 422),
        ({**whole, "severity": "bad"}, 422),
        ({**whole, "metadata": []}, 422),
        ({**whole, "dedup_key": ""}, 422),
        ({**whole, "surprise": 1}, 422),
        ({**whole, "metadata": {"a": nested(100)}}, 422),  # kept, it would be in the way of every list with it
        ({**whole, "description": "x" * 70_000}, 413),
    ):
        answer = await desk.call("/api/assistance", body)
        assert answer.status == status, body
    assert await desk.get("/api/notifications") == []


async def test_a_repeated_request_gets_the_first_answer(world: World) -> None:
    desk = await world.desk("chat")
    body = {"topic": "sales", "description": "x"}
    answers = [await desk.call("/api/assistance", body, Idempotency_Key="k1") for _ in range(3)]
    assert len({answer.body for answer in answers}) == 1
    assert len(await desk.get("/api/notifications")) == 1


async def test_asking_takes_the_scope(world: World) -> None:
    desk = await world.desk("chat")
    body = json.dumps({"topic": "sales", "description": "x"}).encode()
    refused = await desk.hub.ask(b"/api/assistance", method=b"POST", body=body)
    assert refused.status == 401
    other = await desk.hub.token("gateway")
    refused = await desk.hub.ask(
        b"/api/assistance", method=b"POST", headers=[(b"Token", other.text.encode())], body=body
    )
    assert refused.status == 403
    mine = await desk.hub.token("assistance", app="shop")
    taken = await desk.hub.ask(b"/api/assistance", method=b"POST", headers=[(b"Token", mine.text.encode())], body=body)
    assert taken.status == 202
    assert [each["app"] for each in await desk.get("/api/notifications")] == ["shop"]


async def test_a_hook_makes_a_message_of_a_body_that_is_not_ours(world: World) -> None:
    desk = await world.desk("chat", hooks=[HOOK])
    body = json.dumps({"text": "it burns"}).encode()

    async def call(path: bytes, *headers: tuple[bytes, bytes], body: bytes = body) -> int:
        return (await desk.hub.ask(path, method=b"POST", headers=headers, body=body)).status

    token = (b"X-Hook-Token", b"opensesame")
    assert await call(b"/api/hooks/bot", token) == 202
    assert await call(b"/api/hooks/bot?token=opensesame") == 202
    assert await call(b"/api/hooks/bot") == 401
    assert await call(b"/api/hooks/bot", (b"X-Hook-Token", b"wrong")) == 403
    assert await call(b"/api/hooks/other", token) == 404
    assert await call(b"/api/hooks/bot", token, body=b"{}") == 400
    assert await call(b"/api/hooks/bot", token, body=b"x" * 70_000) == 413
    await until(lambda: desk.receivers["chat"].count == 2)
    assert "it burns" in json.dumps(desk.receivers["chat"].received[0].json())
