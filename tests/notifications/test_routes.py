import json
from datetime import UTC, datetime, timedelta

from signalbox.sandbox.scripted import Reply
from tests.notifications.conftest import World


async def test_messages_are_listed_in_pages(world: World) -> None:
    desk = await world.desk("chat")
    ids = [(await desk.ask("sales" if number else "other"))["id"] for number in range(3)]
    for id_ in ids:
        await desk.delivered(id_)
    first = await desk.call("/api/notifications?topic=Sales&limit=1&state=sent")
    assert [each["id"] for each in json.loads(first.body)] == [ids[2]]
    link = (first.value(b"link") or b"").decode()
    assert link.endswith('>; rel="next"')
    assert [each["id"] for each in await desk.get(link[1 : link.index(">")])] == [ids[1]]
    assert (await desk.call("/api/notifications?state=odd")).status == 422
    assert (await desk.call("/api/notifications/msg_0")).status == 404
    for what in ("", "/retry"):
        assert (await desk.call(f"/api/notifications/a%00{what}", method="POST" if what else None)).status == 422
    for wrong in ({"channel": "\0"}, {"topic": "\ud800"}):
        assert (await desk.call("/api/notifications/retry", wrong)).status == 422


async def test_the_way_of_a_message_is_shown_without_sending_it(world: World) -> None:
    desk = await world.desk("chat", routes=[{"topic": "sales", "channels": ["chat"], "name": "to-sales"}])
    found = await desk.post("/api/notifications/route-test", {"topic": "Sales"})
    assert found == {
        "topic": "sales",
        "routes": ["to-sales"],
        "ways": [{"channel": "chat", "route": "to-sales", "outcome": "sent", "reason": None}],
    }
    assert (await desk.call("/api/notifications/route-test", {"topic": "other"})).status == 400
    assert desk.receivers["chat"].count == 0
    assert await desk.get("/api/notifications") == []


async def test_a_message_is_shown_as_a_channel_would_show_it(world: World) -> None:
    chat, settings = await world.webhook("chat", template={"title": "{{ topic }}!", "html": "<b>{{ description }}</b>"})
    desk = await world.desk_at({"chat": chat}, [settings], routes=[{"topic": "*", "channels": ["chat"]}])
    evil = "<script>alert(1)</script>"
    found = await desk.post(
        "/api/notifications/preview", {"channel": "chat", "topic": " Sales", "description": evil, "customer": evil}
    )
    assert found == {
        "channel": "chat",
        "title": "sales!",
        "text": f"{evil}\n\nCustomer: {evil}",
        "html": "<b>&lt;script&gt;alert(1)&lt;/script&gt;</b>",
        "problem": None,
    }
    for wrong, status in (({"channel": "mail"}, 404), ({"description": ""}, 422), ({"topic": " "}, 400)):
        body = {"channel": "chat", "topic": "sales", "description": "x", **wrong}
        assert (await desk.call("/api/notifications/preview", body)).status == status
    assert chat.count == 0


async def test_a_repetition_is_foreseen(world: World) -> None:
    desk = await world.desk("chat")
    first = (await desk.ask(dedup_key="k"))["id"]
    (way,) = (await desk.post("/api/notifications/route-test", {"topic": "sales", "dedup_key": "k"}))["ways"]
    assert (way["outcome"], way["reason"]) == ("suppressed", f"repeats {first}")


async def test_channels_show_their_state_and_can_be_tested(world: World) -> None:
    chat, settings = await world.webhook("chat", rate="5/1s")
    desk = await world.desk_at({"chat": chat}, [settings], routes=[{"topic": "*", "channels": ["chat"]}])
    await desk.delivered((await desk.ask())["id"])
    (shown,) = await desk.get("/api/channels")
    assert (shown["name"], shown["kind"], shown["state"], shown["rate"]) == ("chat", "webhook", "ok", "5/1s")
    assert shown["last_success"] is not None
    assert (shown["backlog"], shown["dead"]) == (0, 0)
    tested = await desk.post("/api/channels/chat/test")
    assert (tested["sent"], tested["status"]) == (True, 204)
    chat.always = Reply(500, b"broken")
    tested = await desk.post("/api/channels/chat/test")
    assert (tested["sent"], tested["status"], tested["excerpt"]) == (False, 500, "broken")
    for what in ("test", "enable"):
        assert (await desk.call(f"/api/channels/other/{what}", method="POST")).status == 404


async def test_silences_keep_messages_from_being_told(world: World) -> None:
    desk = await world.desk("chat")
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    wanted = {"matcher": {"topic": "sales"}, "ends_at": ends_at, "reason": "fair"}
    made = await desk.post("/api/silences", wanted, status=201)
    asked = await desk.ask("sales")
    assert asked["channels"] == []
    (delivery,) = (await desk.get(f"/api/notifications/{asked['id']}"))["deliveries"]
    assert (delivery["state"], delivery["reason"]) == ("suppressed", f"silence {made['id']} by {made['author']}: fair")
    for wrong in (
        {**wanted, "reason": "a\0"},
        {**wanted, "matcher": {"topic": "sales", "app": "\ud800"}},
        {**wanted, "matcher": {"metadata": {"region": "\ud800"}}},
    ):
        assert (await desk.call("/api/silences", wrong)).status == 422
    for number in (0, 2**63):
        assert (await desk.call(f"/api/silences/{number}", method="DELETE")).status == 422
    assert (await desk.ask("other"))["channels"] == ["chat"]
    assert [each["id"] for each in await desk.get("/api/silences")] == [made["id"]]
    assert (await desk.call(f"/api/silences/{made['id']}", method="DELETE")).status == 200
    assert (await desk.call(f"/api/silences/{made['id']}", method="DELETE")).status == 404
    assert await desk.get("/api/silences") == []
    assert len(await desk.get("/api/silences?active=false")) == 1
    assert (await desk.ask("sales"))["channels"] == ["chat"]
    refused = await desk.call("/api/silences", {**wanted, "matcher": {}})
    assert (refused.status, json.loads(refused.body)["code"]) == (400, "invalid_silence")


async def test_people_read_and_managers_act(world: World) -> None:
    desk = await world.desk("chat")
    user = (await desk.hub.token("user")).text.encode()

    async def status(path: bytes, method: bytes, token: bytes | None) -> int:
        headers = [(b"Content-Type", b"application/json"), *([] if token is None else [(b"Token", token)])]
        return (
            await desk.hub.ask(path, method=method, headers=headers, body=b"{}" if method == b"POST" else b"")
        ).status

    for path in (b"/api/notifications", b"/api/channels", b"/api/silences"):
        assert (await status(path, b"GET", None), await status(path, b"GET", user)) == (401, 200)
    for path in (
        b"/api/notifications/retry",
        b"/api/notifications/msg_0/retry",
        b"/api/channels/chat/test",
        b"/api/channels/chat/enable",
        b"/api/silences",
    ):
        assert (await status(path, b"POST", None), await status(path, b"POST", user)) == (401, 403)
    assert await status(b"/api/silences/1", b"DELETE", user) == 403


async def test_an_app_sees_what_became_of_its_own_requests_only(world: World) -> None:
    desk = await world.desk("chat")
    own, other = [(await desk.hub.token("assistance", app=app)).text.encode() for app in ("bot", "stranger")]
    body = json.dumps({"topic": "sales", "description": "Please call back"}).encode()
    headers = [(b"Content-Type", b"application/json"), (b"Token", own)]
    accepted = await desk.hub.ask(b"/api/assistance", method=b"POST", headers=headers, body=body)
    where = accepted.value(b"location")
    assert where is not None
    seen = {token: await desk.hub.ask(where, headers=[(b"Token", token)]) for token in (own, other)}
    assert (seen[own].status, seen[other].status) == (200, 404)
    assert json.loads(seen[own].body)["app"] == "bot"
    assert (await desk.hub.ask(b"/api/notifications", headers=[(b"Token", own)])).status == 403
