from typing import cast

import pytest

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.core.times import to_datetime
from signalbox.infra.db import Database
from signalbox.infra.http.recorded import RecordedClient
from signalbox.infra.jobs import find_jobs
from signalbox.notifications import channel_states, store
from signalbox.notifications.channel_settings import TemplateSettings
from signalbox.notifications.channels import Equipment, build_channel
from signalbox.notifications.channels.log import LogSettings
from signalbox.notifications.errors import MessageNotFoundError, NothingToRetryError, RenderError, UnknownTopicError
from signalbox.notifications.intake import accept
from signalbox.notifications.routing import Labels, Routing
from signalbox.notifications.schemas import PreviewIn, RetryIn, SilenceIn
from signalbox.notifications.service import (
    Hand,
    Trial,
    enable_channel,
    note_test,
    preview,
    retry_many,
    retry_message,
)
from signalbox.notifications.service import (
    test_route as try_route,
)
from signalbox.notifications.settings import MatcherSettings
from signalbox.notifications.silences import add_silence
from tests.notifications.conftest import SECOND, START, message_of, routing_of

HAND = Hand("user:ann", START, "r1")


async def actions(database: Database) -> list[tuple[str, str]]:
    entries = await database.read(list_entries, wanted=AuditFilter(actor="user:ann"), limit=9)
    return [(each.action, each.target) for each in entries]


async def test_only_the_dead_deliveries_of_a_message_are_tried_again(database: Database) -> None:
    accepted = await database.write(accept, message_of(), routing=routing_of("chat", "mail"), now=START)
    with pytest.raises(NothingToRetryError):
        await database.write(retry_message, accepted.id, channel=None, hand=HAND)
    for number in (1, 2):
        await database.write(store.set_dead, number, attempts=1, reason="no", now=START)
    found = await database.write(retry_message, accepted.id, channel="mail", hand=HAND)
    assert [(each.channel, each.state) for each in found.deliveries] == [("chat", "dead"), ("mail", "pending")]
    with pytest.raises(NothingToRetryError):
        await database.write(retry_message, accepted.id, channel="mail", hand=HAND)
    with pytest.raises(MessageNotFoundError):
        await database.write(retry_message, "msg_0", channel=None, hand=HAND)
    assert await actions(database) == [("notification.retry", f"notification:{accepted.id}")]


async def test_many_are_tried_again_with_a_job_each(database: Database) -> None:
    for number in range(1, 4):
        await database.write(accept, message_of(), routing=routing_of("chat"), now=START)
        await database.write(store.set_dead, number, attempts=1, reason="no", now=START)
    for job in await database.read(find_jobs, limit=9):
        assert job.key is not None  # the first jobs wait yet, and so none is added beside them
    assert (await database.write(retry_many, RetryIn(channel="chat"), hand=HAND)).retried == 3
    assert (await database.write(retry_many, RetryIn(), hand=HAND)).retried == 0
    assert len(await database.read(find_jobs, limit=9)) == 3
    assert await actions(database) == [("notification.retry", "notification:*")] * 2


async def test_enabling_and_testing_channels_is_noted(database: Database) -> None:
    await database.write(enable_channel, "chat", hand=HAND)
    assert await actions(database) == []
    await database.write(channel_states.disable, "chat", reason="gone", now=START)
    await database.write(enable_channel, "chat", hand=HAND)
    await database.write(note_test, "chat", id_="msg_1", sent=True, hand=HAND)
    assert await actions(database) == [("channel.test", "channel:chat"), ("channel.enable", "channel:chat")]


async def test_a_trial_shows_the_way_and_writes_nothing(database: Database) -> None:
    routing = routing_of(
        "chat",
        "mail",
        "pager",
        routes=[
            {"topic": "sales", "channels": ["chat"], "continue": True, "group": {"by": ["topic"], "wait": "1m"}},
            {"topic": "*", "channels": ["mail"], "continue": True, "quiet": {"start": "22:00", "end": "07:00"}},
            {"topic": "*", "channels": ["pager"], "name": "all"},
        ],
    )

    async def ways(routing: Routing = routing) -> list[tuple[str, str, str]]:
        found = await database.read(try_route, Trial(Labels("sales")), routing=routing, now=START)
        return [(way.channel, way.outcome, way.reason or "") for way in found.ways]

    assert await ways() == [
        ("chat", "grouped", "told of together by topic, after 1m"),
        ("mail", "held", "quiet hours until 2026-01-01T07:00:00.000000Z"),
        ("pager", "sent", ""),
    ]
    await database.write(channel_states.disable, "pager", reason="gone", now=START)
    assert (await ways())[2] == ("pager", "disabled", "the channel is disabled: gone")
    ends_at = to_datetime(START + SECOND)
    silence = SilenceIn(matcher=MatcherSettings(topic=["sales"]), ends_at=ends_at, reason="repairs")
    await database.write(add_silence, silence, author="user:bob", now=START)
    assert {outcome for _, outcome, _ in await ways()} == {"suppressed"}
    assert await database.read(find_jobs, limit=9) == []
    with pytest.raises(UnknownTopicError):
        await ways(routing_of("chat", routes=[]))


async def test_a_trial_knows_what_is_hidden(database: Database) -> None:
    rule = {"source": {"topic": "down"}, "target": {"topic": "slow"}}
    routing = routing_of("chat", inhibit=[rule])
    raised = await database.write(accept, message_of("down"), routing=routing, now=START)
    found = await database.read(try_route, Trial(Labels("slow")), routing=routing, now=START)
    assert [(way.outcome, way.reason) for way in found.ways] == [("suppressed", f"hidden by {raised.id}")]


async def test_a_trial_knows_repetitions_and_pauses(database: Database) -> None:
    routing = routing_of("chat")
    accepted = await database.write(accept, message_of(dedup_key="k"), routing=routing, now=START)

    async def way(dedup_key: str | None) -> tuple[str, str | None]:
        trial = Trial(Labels("sales"), dedup_key)
        (found,) = (await database.read(try_route, trial, routing=routing, now=START)).ways
        return found.outcome, found.reason

    assert await way("k") == ("suppressed", f"repeats {accepted.id}")
    assert await way("other") == await way(None) == ("sent", None)
    await database.write(channel_states.pause, "chat", until=START + SECOND)
    reason = "the provider asked to be left alone until 2026-01-01T00:00:01.000000Z"
    assert await way(None) == ("held", reason)


async def test_a_trial_of_what_tells_of_failures_goes_round_disabled_channels(database: Database) -> None:
    routing = routing_of("chat", "mail", routes=[{"topic": "*", "channels": ["chat"]}])
    await database.write(channel_states.disable, "chat", reason="gone", now=START)
    found = await database.read(try_route, Trial(Labels("channel.disabled")), routing=routing, now=START)
    assert [(way.channel, way.outcome) for way in found.ways] == [("mail", "sent")]


def wanted(**more: object) -> PreviewIn:
    values = {"channel": "chat", "topic": "sales", "description": "<b>Call</b> Ann", "metadata": {"region": "<i>"}}
    return PreviewIn.model_validate({**values, **more})


def test_a_preview_shows_what_templates_make_of_a_message() -> None:
    channel = build_channel(LogSettings(kind="log", name="chat"), Equipment(cast("RecordedClient", None)))
    plain = preview(channel, TemplateSettings(), wanted(), topic="sales", now=START)
    assert (plain.title, plain.html, plain.problem) == ("sales: <b>Call</b> Ann", None, None)
    assert plain.text == "<b>Call</b> Ann\n\nregion: <i>"
    template = TemplateSettings(title="{{ topic }}!", html="<p>{{ metadata.region }}</p>")
    made = preview(channel, template, wanted(), topic="sales", now=START)
    assert (made.title, made.html) == ("sales!", "<p>&lt;i&gt;</p>")
    with pytest.raises(RenderError):
        preview(channel, TemplateSettings(text="{{ nothing }}"), wanted(), topic="sales", now=START)
    long = preview(channel, TemplateSettings(), wanted(description="a" * 20_001, metadata={}), topic="sales", now=START)
    assert long.problem == "the text has 20001 characters, it takes 20000"
