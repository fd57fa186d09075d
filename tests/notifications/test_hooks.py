import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from signalbox.infra.db import Database
from signalbox.notifications.errors import (
    HookRefusedError,
    HookUnreadableError,
    HookUnsignedError,
    InvalidMessageError,
    UnknownTopicError,
)
from signalbox.notifications.hooks import HookCall, accept_call, read_call, to_message
from signalbox.notifications.settings import HookSettings
from tests.notifications.conftest import SECOND, START, routing_of

KEY = b"0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
NOW = START // SECOND
BODY = json.dumps({"description": "help", "event": {"type": "Opened"}}).encode()


def hook(**values: Any) -> HookSettings:
    return HookSettings.model_validate({"name": "bot", "secrets": ["opensesame"], "topic": "support", **values})


def read(settings: HookSettings, body: bytes = BODY, *headers: tuple[bytes, bytes], query: bytes = b"") -> HookCall:
    return read_call(settings, body, headers=headers, query=query, now=START)


def standard(
    body: bytes = BODY, *, number: str = "w1", stamp: int = NOW, key: bytes = KEY
) -> list[tuple[bytes, bytes]]:
    signed = hmac.new(key, f"{number}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return [
        (b"webhook-id", number.encode()),
        (b"webhook-timestamp", str(stamp).encode()),
        (b"webhook-signature", b"v1,bm8= v1," + base64.b64encode(signed)),
    ]


def github(body: bytes = BODY, secret: bytes = b"opensesame") -> tuple[bytes, bytes]:
    return b"x-hub-signature-256", b"sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest().encode()


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"x-hook-token", b"opensesame")], b""),
        ([(b"authorization", b"Bearer opensesame")], b""),
        ([], b"a=b&token=opensesame"),
        ([(b"x-hook-token", b"older")], b""),
    ],
)
def test_a_token_may_come_in_three_ways(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    call = read(hook(secrets=["opensesame", "older"]), BODY, *headers, query=query)
    assert (call.new.topic, call.new.description, call.new.source, call.receipt) == (
        "support",
        "help",
        "hook:bot",
        None,
    )


def test_a_wrong_token_is_refused_and_none_is_asked_for() -> None:
    for headers in ([(b"x-hook-token", b"wrong")], [(b"authorization", b"Bearer opensesam")]):
        with pytest.raises(HookRefusedError):
            read(hook(), BODY, *headers)
    with pytest.raises(HookRefusedError):
        read(hook(), query=b"token=wrong")
    for headers in ([], [(b"authorization", b"Basic opensesame")]):
        with pytest.raises(HookUnsignedError):
            read(hook(), BODY, *headers)


def test_the_first_of_two_tokens_counts() -> None:
    with pytest.raises(HookRefusedError):
        read(hook(), BODY, (b"x-hook-token", b"wrong"), (b"x-hook-token", b"opensesame"))


def test_a_signature_of_standard_webhooks() -> None:
    settings = hook(auth="standard", secrets=["whsec_b2xk", SECRET])
    assert read(settings, BODY, *standard()).receipt
    assert read(settings, BODY, *standard(stamp=NOW - 300)).receipt
    for wrong in (
        standard(key=b"other"),
        standard(body=BODY + b" "),
        standard(stamp=NOW - 301),
        standard(stamp=NOW + 301),
        [*standard()[:1], (b"webhook-timestamp", b"1e9"), *standard()[2:]],
        [(b"webhook-id", b"w2"), *standard()[1:]],
    ):
        with pytest.raises(HookRefusedError):
            read(settings, BODY, *wrong)
    with pytest.raises(HookUnsignedError):
        read(settings, BODY, *standard()[:2])


def test_a_signature_as_github_makes_it() -> None:
    settings = hook(auth="github")
    assert read(settings, BODY, github()).receipt
    for wrong in (github(secret=b"other"), github(BODY + b" "), (github()[0], github()[1][7:])):
        with pytest.raises(HookRefusedError):
            read(settings, BODY, wrong)
    with pytest.raises(HookUnsignedError):
        read(settings, BODY)


async def test_a_repeated_request_makes_no_second_message(database: Database) -> None:
    routing, settings = routing_of("chat"), hook(auth="standard", secrets=[SECRET])
    call = read(settings, BODY, *standard())
    first = await database.write(accept_call, call, routing=routing, now=START)
    again = await database.write(accept_call, call, routing=routing, now=START + 400 * SECOND)
    assert again == first
    other = await database.write(accept_call, read(settings, BODY, *standard(number="w2")), routing=routing, now=START)
    assert other.id != first.id


async def test_a_hook_without_a_route_leaves_nothing_behind(database: Database) -> None:
    settings = hook(auth="standard", secrets=[SECRET])
    routing = routing_of("chat", routes=[{"topic": "sales", "channels": ["chat"]}])
    call = read(settings, BODY, *standard())
    with pytest.raises(UnknownTopicError):
        await database.write(accept_call, call, routing=routing, now=START)
    assert (await database.write(accept_call, call, routing=routing_of("chat"), now=START)).channels == ["chat"]


def test_fields_are_found_by_their_paths() -> None:
    settings = hook(
        topic_path="event.type",
        description_path="issue.title",
        severity_path="issue.priority",
        customer_path="users.0.name",
        dedup_path="issue.id",
        metadata={"url": "issue.url", "labels": "issue.labels", "gone": "no.where"},
    )
    document = {
        "event": {"type": "Opened"},
        "issue": {"title": "It burns", "priority": "URGENT", "id": 12, "url": "http://x", "labels": ["a"]},
        "users": [{"name": "Ann"}],
    }
    found = to_message(settings, document)
    assert (found.topic, found.description, found.severity) == ("opened", "It burns", "critical")
    assert (found.customer, found.dedup_key) == ("Ann", "12")
    assert found.metadata == {"url": "http://x", "labels": ["a"]}
    assert to_message(settings, {"issue": {"title": "x", "priority": "odd"}}).topic == "support"
    assert to_message(settings, {"issue": {"title": "x", "priority": "odd"}}).severity == "info"


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b"[1]", b'{"description": ""}', b'{"description": {"a": 1}}', b"[" * 100_000]
    # what Python takes for JSON, and what then can neither be kept nor shown
    + [b'{"description": "x", "more": %s}' % more for more in (b"NaN", b"1e999", rb'"\ud800"', b"[" * 101 + b"]" * 101)]
    + [rb'{"description": "a\ud800b"}'],
)
def test_a_body_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(HookUnreadableError):
        read(hook(metadata={"more": "more"}), body, (b"x-hook-token", b"opensesame"))


def test_long_values_are_bounded() -> None:
    settings = hook(customer_path="c", dedup_path="d", topic=None, topic_path="t")
    found = to_message(settings, {"description": "x", "c": "c" * 999, "d": "d" * 999, "t": "t"})
    assert (len(found.customer or ""), len(found.dedup_key or "")) == (300, 64)
    with pytest.raises(InvalidMessageError):
        to_message(settings, {"description": "x", "t": "t" * 101})
