import asyncio
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from signalbox.sandbox.scripted import HANG, Reply
from tests.notifications.conftest import FAST, Desk, World
from tests.support.hub import running_hub, settings_at
from tests.support.timing import PATIENCE, until

ALL_TO_MAIL = {"topic": "*", "channels": ["mail"]}


def states(found: Any) -> dict[str, str]:
    return {each["channel"]: each["state"] for each in found["deliveries"]}


async def test_a_message_reaches_each_of_its_channels_under_its_id(world: World) -> None:
    desk = await world.desk("chat", "mail")
    asked = await desk.ask("  Sales ", metadata={"region": "eu"}, customer="ACME")
    assert asked == {"id": asked["id"], "status": "accepted", "topic": "sales", "channels": ["chat", "mail"]}
    found = await desk.delivered(asked["id"])
    assert [app.ids for app in desk.receivers.values()] == [{asked["id"]: 1}] * 2
    (one,) = desk.receivers["chat"].received
    assert "Please call back" in json.dumps(one.json())
    assert found["routes"] == ["routes[0]"]
    assert [(each["state"], each["attempts"], len(each["tries"])) for each in found["deliveries"]] == [
        ("sent", 0, 1)
    ] * 2
    assert found["deliveries"][0]["tries"][0]["status"] == 204


async def test_a_failing_channel_neither_delays_nor_repeats_another(world: World) -> None:
    desk = await world.desk("chat", "mail")
    desk.receivers["chat"].script(Reply(500), Reply(503), Reply(500))
    asked = await desk.ask()
    await until(lambda: desk.receivers["mail"].ids)
    assert not desk.receivers["chat"].ids
    found = await desk.delivered(asked["id"])
    assert (desk.receivers["chat"].count, desk.receivers["mail"].count) == (4, 1)
    tries = found["deliveries"][0]["tries"]
    assert [(each["outcome"], each["status"]) for each in tries] == [
        ("failed", 500),
        ("failed", 503),
        ("failed", 500),
        ("sent", 204),
    ]
    assert {each.headers["webhook-id"] for each in desk.receivers["chat"].received} == {asked["id"]}


async def test_a_hanging_endpoint_holds_up_only_itself(world: World) -> None:
    made = {name: await world.webhook(name, concurrency=2, timeout=2) for name in ("hanging", "a", "b")}
    receivers = {name: app for name, (app, _) in made.items()}
    routes = [{"topic": "*", "channels": list(made)}]
    desk = await world.desk_at(receivers, [settings for _, settings in made.values()], routes=routes)
    receivers["hanging"].always = HANG
    ids = [(await desk.ask(description=f"number {number}"))["id"] for number in range(30)]
    for name in ("a", "b"):
        await until(lambda name=name: len(receivers[name].ids) == len(ids))  # type: ignore[misc]
    assert receivers["hanging"].count < len(ids)
    assert not receivers["hanging"].ids


async def test_what_fails_for_good_is_dead_told_of_and_can_be_tried_again(world: World) -> None:
    chat, settings = await world.webhook("chat", retries=["1s"])
    mail, other = await world.webhook("mail")
    routes = [{"topic": "notification.dead", "channels": ["mail"]}, {"topic": "*", "channels": ["chat"]}]
    desk = await world.desk_at({"chat": chat, "mail": mail}, [settings, other], routes=routes)
    chat.always = Reply(500)
    asked = await desk.ask()
    found = await desk.delivered(asked["id"], "dead")
    assert (chat.count, found["deliveries"][0]["attempts"]) == (2, 2)
    await until(lambda: mail.count == 1)
    assert asked["id"] in json.dumps(mail.received[0].json())
    chat.always = None
    await desk.post(f"/api/notifications/{asked['id']}/retry")
    await desk.delivered(asked["id"])
    assert chat.ids == {asked["id"]: 1}
    again = await desk.call(f"/api/notifications/{asked['id']}/retry", method="POST")
    assert (again.status, json.loads(again.body)["code"]) == (409, "nothing_to_retry")


async def test_dead_deliveries_are_tried_again_in_bulk(world: World) -> None:
    chat, settings = await world.webhook("chat", retries=[])
    desk = await world.desk_at({"chat": chat}, [settings], routes=[{"topic": "*", "channels": ["chat"]}])
    chat.always = Reply(400)
    ids = [(await desk.ask("sales" if number else "other"))["id"] for number in range(3)]
    for id_ in ids:
        await desk.delivered(id_, "dead")
    assert [each["id"] for each in await desk.get("/api/notifications?state=dead&topic=sales")] == [ids[2], ids[1]]
    chat.always = None
    assert await desk.post("/api/notifications/retry", {"topic": "sales"}) == {"retried": 2}
    for id_ in ids[1:]:
        await desk.delivered(id_)
    assert states(await desk.get(f"/api/notifications/{ids[0]}")) == {"chat": "dead"}


async def test_a_failure_of_who_tells_of_failures_makes_nothing_new(world: World) -> None:
    chat, settings = await world.webhook("chat", retries=[])
    desk = await world.desk_at({"chat": chat}, [settings], routes=[{"topic": "*", "channels": ["chat"]}])
    chat.always = Reply(400)
    await desk.ask()
    # the message dies, one tells of that and dies too, and that is the end
    await until(lambda: chat.count >= 2)
    await asyncio.sleep(0.5)
    assert chat.count == 2
    topics = [each["topic"] for each in await desk.get("/api/notifications")]
    assert topics == ["notification.dead", "sales"]


async def test_429_pauses_that_channel_alone_and_keeps_the_order(world: World) -> None:
    desk = await world.desk("chat", "mail")
    chat = desk.receivers["chat"]
    chat.script(Reply(429, headers=[(b"retry-after", b"5")]))
    first = (await desk.ask(description="first"))["id"]
    await until(lambda: chat.count == 1)
    await desk.shown(first, lambda found: len(found["deliveries"][0]["tries"]) == 1)
    second = (await desk.ask(description="second"))["id"]
    await until(lambda: len(desk.receivers["mail"].ids) == 2)
    (state,) = [each for each in await desk.get("/api/channels") if each["name"] == "chat"]
    assert (state["state"], state["backlog"]) == ("paused", 2)
    await desk.delivered(second)
    found = await desk.delivered(first)
    assert list(chat.ids) == [first, second]
    assert [each["outcome"] for each in found["deliveries"][0]["tries"]] == ["refused", "sent"]
    assert found["deliveries"][0]["attempts"] == 0
    begun = [each.at for each in chat.received]
    assert begun[1] - begun[0] > 4.9


async def test_429_that_does_not_say_for_how_long_pauses_until_the_retry(world: World) -> None:
    chat, settings = await world.webhook("chat", retries=["5s"])
    desk = await world.desk_at({"chat": chat}, [settings], routes=[{"topic": "*", "channels": ["chat"]}])
    chat.script(Reply(429))
    first = (await desk.ask(description="first"))["id"]
    await desk.shown(first, lambda found: found["deliveries"][0]["attempts"] == 1)
    second = (await desk.ask(description="second"))["id"]
    assert (await desk.get("/api/channels"))[0]["state"] == "paused"
    for id_ in (first, second):
        await desk.delivered(id_)
    begun = [each.at for each in chat.received]
    assert (len(begun), begun[1] - begun[0] > 3.0) == (3, True)


async def test_the_end_of_the_channel_that_tells_of_failures_is_told_by_another_once(world: World) -> None:
    chat, settings = await world.webhook("chat", retries=[])
    made = {name: await world.webhook(name) for name in ("ops", "mail")}
    routes = [{"topic": "sales", "channels": ["chat"]}, {"topic": "*", "channels": ["ops"]}]
    receivers = {"chat": chat, **{name: app for name, (app, _) in made.items()}}
    channels = [settings, *(each for _, each in made.values())]
    desk = await world.desk_at(receivers, channels, routes=routes)
    chat.always, receivers["ops"].always, receivers["mail"].always = Reply(410), Reply(410), Reply(410)
    await desk.ask()
    await until(lambda: receivers["mail"].count >= 1)
    async with asyncio.timeout(PATIENCE):
        while {each["state"] for each in await desk.get("/api/channels")} != {"disabled"}:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    found = [each for each in await desk.get("/api/notifications") if each["topic"] == "channel.disabled"]
    assert sorted(each["metadata"]["channel"] for each in found) == ["chat", "mail", "ops"], "and that is the end"


async def test_what_waits_for_a_channel_that_has_ended_dies_in_silence(world: World) -> None:
    desk = await world.desk("chat", "mail", routes=[{"topic": "sales", "channels": ["chat"]}, ALL_TO_MAIL])
    chat, mail = desk.receivers["chat"], desk.receivers["mail"]
    chat.script(Reply(429, headers=[(b"retry-after", b"5")]))
    chat.always = Reply(410)
    ids = [(await desk.ask())["id"]]
    await until(lambda: chat.count == 1)
    ids += [(await desk.ask())["id"] for _ in range(5)]
    for id_ in ids:
        await desk.delivered(id_, "dead")
    await desk.delivered((await desk.ask("other"))["id"])
    # who reads it is told of the channel, and of the first that was lost by it: five more would say the same
    told = [each["topic"] for each in await desk.get("/api/notifications?channel=mail")]
    assert sorted(told) == ["channel.disabled", "notification.dead", "other"]
    assert mail.count == 3


async def test_410_disables_the_channel_and_tells_another(world: World) -> None:
    desk = await world.desk("chat", "mail", routes=[{"topic": "*", "channels": ["chat"]}])
    chat, mail = desk.receivers["chat"], desk.receivers["mail"]
    chat.always = Reply(410)
    asked = await desk.ask()
    await desk.delivered(asked["id"], "dead")
    # every route leads to the channel that is gone; another is told all the same, once
    await until(lambda: mail.count == 2)  # channel.disabled and notification.dead
    told = sorted(each["topic"] for each in await desk.get("/api/notifications?channel=mail"))
    assert told == ["channel.disabled", "notification.dead"]
    (state, _) = await desk.get("/api/channels")
    assert (state["name"], state["state"], state["dead"]) == ("chat", "disabled", 1)
    later = await desk.ask()
    assert later["channels"] == []
    assert states(await desk.get(f"/api/notifications/{later['id']}")) == {"chat": "dead"}
    chat.always = None
    answer = await desk.call("/api/channels/chat/enable", method="POST")
    assert answer.status == 204
    assert await desk.post("/api/notifications/retry", {"channel": "chat"}) == {"retried": 2}
    await desk.delivered(later["id"])


async def test_a_template_that_fails_ends_dead_and_later_messages_go_on(world: World) -> None:
    chat, settings = await world.webhook("chat", template={"text": "{{ metadata.name }} asks: {{ description }}"})
    desk = await world.desk_at({"chat": chat}, [settings], routes=[{"topic": "*", "channels": ["chat"]}])
    broken = await desk.ask()
    whole = await desk.ask(metadata={"name": "Ann"})
    found = await desk.delivered(broken["id"], "dead")
    assert "name" in found["deliveries"][0]["reason"]
    await desk.delivered(whole["id"])
    assert "Ann asks: Please call back" in json.dumps(chat.received[0].json())


async def test_a_burst_beyond_the_rate_becomes_a_digest_that_names_what_it_holds(world: World) -> None:
    chat, settings = await world.webhook("chat", rate="1/1s")
    desk = await world.desk_at({"chat": chat}, [settings], routes=[{"topic": "*", "channels": ["chat"]}])
    ids = [(await desk.ask(description=f"number {number}"))["id"] for number in range(6)]
    made = [(await desk.delivered(id_))["deliveries"][0] for id_ in ids]
    assert chat.count < 6
    carried = [each for each in made if each["carried_by"] is not None]
    assert {each["carried_by"] for each in carried} <= set(ids)
    assert [len(each["tries"]) for each in carried] == [1] * (6 - chat.count)
    named = json.dumps([each.json() for each in chat.received])
    assert all(f"number {number}" in named for number in range(6))
    begun = [each.at for each in chat.received]
    assert all(later - earlier > 0.9 for earlier, later in itertools.pairwise(begun))


async def test_what_a_digest_took_along_is_told_though_the_rate_was_taken_away_meanwhile(world: World) -> None:
    chat, settings = await world.webhook("chat", rate="1/1s", retries=["1s"] * 20)
    routes = [{"topic": "*", "channels": ["chat"]}]
    slow, fast = (
        settings_at(world.place, notifications={"channels": [each], "routes": routes})
        for each in (settings, {**settings, "rate": None})
    )
    chat.always = Reply(500)
    async with running_hub(slow) as hub:
        issued = await hub.token("manager", "assistance")
        desk = Desk(hub, {"chat": chat}, issued.text)
        ids = [(await desk.ask(description=f"number {number}"))["id"] for number in range(4)]
        await until(lambda: any(len(each.json()["data"].get("group", [])) > 1 for each in chat.received))
    chat.always = None
    async with running_hub(fast) as hub:
        desk = Desk(hub, {"chat": chat}, issued.text)
        for id_ in ids:
            await desk.delivered(id_)


async def test_without_digests_each_message_takes_its_turn(world: World) -> None:
    chat, settings = await world.webhook("chat", rate="2/1s", digest=False, retries=FAST)
    desk = await world.desk_at({"chat": chat}, [settings], routes=[{"topic": "*", "channels": ["chat"]}])
    ids = [(await desk.ask(description=f"number {number}"))["id"] for number in range(5)]
    for id_ in ids:
        await desk.delivered(id_)
    assert list(chat.ids) == ids
    begun = [each.at for each in chat.received]
    assert all(begun[position + 2] - begun[position] > 0.9 for position in range(3))


async def test_a_silence_that_begins_later_holds_for_what_waits(world: World) -> None:
    route = {"topic": "*", "channels": ["chat"], "group": {"by": ["topic"], "wait": "2s"}}
    desk = await world.desk("chat", routes=[route])
    quiet, told = (await desk.ask("sales"))["id"], (await desk.ask("other"))["id"]
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await desk.post("/api/silences", {"matcher": {"topic": "sales"}, "ends_at": ends_at, "reason": "fair"}, status=201)
    await desk.delivered(told)
    (delivery,) = (await desk.delivered(quiet, "suppressed"))["deliveries"]
    assert "fair" in delivery["reason"]
    assert list(desk.receivers["chat"].ids) == [told]


async def test_a_provider_that_asks_to_wait_is_left_alone_by_all_who_share_its_budget(world: World) -> None:
    made = {name: await world.webhook(name) for name in ("a", "b")}
    settings = settings_at(
        world.place,
        notifications={
            "channels": [each for _, each in made.values()],
            "routes": [{"topic": name, "channels": [name]} for name in made],
        },
        budgets=[{"host": "127.0.0.1", "limits": ["100/1s"]}],
    )
    async with running_hub(settings) as hub:
        desk = Desk(
            hub, {name: app for name, (app, _) in made.items()}, (await hub.token("manager", "assistance")).text
        )
        desk.receivers["a"].script(Reply(503, headers=[(b"retry-after", b"2")]))
        first = (await desk.ask("a"))["id"]
        await desk.shown(first, lambda found: found["deliveries"][0]["tries"])
        await desk.delivered((await desk.ask("b"))["id"])
        await desk.delivered(first)
        refused, other = desk.receivers["a"].received[0].at, desk.receivers["b"].received[0].at
        assert other - refused > 1.9
