"""What calls to a provider carry, and how much of an answer is read."""

import asyncio
import json
from typing import Any

import pytest

from signalbox.core.secrets import Secret, UnreadableSecretError
from signalbox.infra.http import HttpClientError, Timeouts, TooLateError
from signalbox.sandbox.rawserver import RawUpstream
from signalbox.tasks.providers import PollFailedError, SubmitRefusedError
from signalbox.tasks.providers.addresses import parse_address
from signalbox.tasks.providers.answers import AnswerReader, Shape
from signalbox.tasks.providers.calls import Answer, Caller, filled
from signalbox.tasks.providers.statuses import StatusWords
from signalbox.tasks.providers.templates import Template
from tests.tasks.providers.conftest import World


def caller(world: World, **more: Any) -> Caller:
    given: dict[str, Any] = {"headers": {}, "secrets": {}, "timeouts": Timeouts(), "most": 1_000_000}
    return Caller("x", outbound=world.outbound, clock=world.clock, **(given | more))


def answer(body: bytes, status: int = 400) -> Answer:
    return Answer(status, body, None)


async def test_common_headers_are_replaced_by_those_of_the_settings_and_these_by_those_of_the_call(
    world: World, shop: str
) -> None:
    headers = {
        name: Template(text, ("secret",)) for name, text in {"Accept": "x/y", "A": "1", "B": "{secret.b}"}.items()
    }
    made = caller(world, headers=headers, secrets={"b": Secret("2")})
    echoed = await made.call("PUT", parse_address(f"{shop}/echo", ()), {}, route="r", headers={b"a": b"3"}, body=b"{}")
    sent = dict(json.loads(echoed.body)["headers"])
    assert {name: sent[name] for name in ("accept", "a", "b", "user-agent")} == {
        "accept": "x/y",
        "a": "3",
        "b": "2",
        "user-agent": "signalbox",
    }
    assert json.loads(echoed.body)["method"] == "PUT"


async def test_a_call_is_told_without_its_query(world: World, shop: str) -> None:
    made = caller(world, secrets={"key": Secret("s3cr3t")})
    await made.call("GET", parse_address(f"{shop}/echo?key={{secret.key}}", ("secret",)), {}, route="poll")
    ((service, route, path),) = [(call.service, call.route, call.path) for call in world.told]
    assert (service, route, path) == ("provider:x", "poll", "/echo")


def test_a_secret_that_is_not_there_is_named_when_the_provider_is_made(world: World) -> None:
    with pytest.raises(UnreadableSecretError, match="SIGNALBOX_TEST_NONE"):
        caller(world, secrets={"key": Secret("env:SIGNALBOX_TEST_NONE")})


async def test_of_an_error_only_the_beginning_is_read(world: World, shop: str) -> None:
    made = caller(world, most=1_000)
    address = parse_address(f"{shop}/bytes/300000", ())
    with pytest.raises(HttpClientError, match="larger than 1000"):
        await made.call("GET", address, {}, route="r")
    refused = await made.call("GET", parse_address(f"{shop}/status/404", ()), {}, route="r")
    assert (refused.status, refused.retry_after) == (404, None)


async def test_an_error_that_breaks_off_is_an_answer_nevertheless(world: World, raw: RawUpstream) -> None:
    refused = await caller(world).call("POST", parse_address(f"{raw.url}/early-close", ()), {}, route="r", body=b"x")
    assert (refused.status, refused.body) == (413, b"big.\n")


async def test_retry_after_is_read_in_seconds_and_as_a_date(world: World) -> None:
    world.app.faults.order("limit")
    address = parse_address(f"{world.url}/tasks", ())
    assert (await caller(world).call("GET", address, {}, route="r")).retry_after == 2


async def test_a_call_that_is_too_late_is_not_sent(world: World) -> None:
    address, past = parse_address(f"{world.url}/tasks", ()), asyncio.get_running_loop().time() - 1
    with pytest.raises(TooLateError):
        await caller(world).ask(address, {}, route="r", send_by=past)
    with pytest.raises(TooLateError):
        await caller(world).submit("POST", address, {}, headers={}, body=b"{}", send_by=past)
    assert not world.app.gate.arrivals


async def test_too_many_is_told_from_other_refusals(world: World) -> None:
    address = parse_address(f"{world.url}/tasks", ())
    for fault, too_many in (("limit", True), ("busy", False)):
        world.app.faults.order(fault)
        with pytest.raises(PollFailedError) as failed:
            await caller(world).ask(address, {}, route="r")
        world.app.faults.order(fault)
        with pytest.raises(SubmitRefusedError) as refused:
            await caller(world).submit("POST", address, {}, headers={}, body=b"{}")
        assert (failed.value.too_many, refused.value.too_many) == (too_many, too_many)


def test_the_complaint_shows_no_secret(world: World) -> None:
    made = caller(world, secrets={"key": Secret("s3cr3t"), "pin": Secret("at")})
    assert made.complaint(answer(b'{"error":"what is s3cr3t?"}')) == "what is **********?"
    assert made.complaint(answer(b"", 418)) == "the provider answered 418"
    assert made.masked("a\r\nb s3cr3ts3cr3t") == "a b ********************"


def test_what_is_said_of_an_unreadable_answer_shows_no_secret(world: World) -> None:
    made = caller(world, secrets={"key": Secret("s3cr3t")})
    reader = AnswerReader(Shape(), StatusWords({}))
    with pytest.raises(PollFailedError, match=r"not JSON; it has 13 bytes: s=\*{10}"), made.masking():
        reader.sighting(b"s=s3cr3t=s3cr")


async def test_only_what_may_lack_is_none_where_it_is_gone(world: World, shop: str) -> None:
    for status in (404, 410):
        address = parse_address(f"{shop}/status/{status}", ())
        assert await caller(world).ask(address, {}, route="r", may_lack=True) is None
        with pytest.raises(PollFailedError, match=str(status)):
            await caller(world).ask(address, {}, route="r")


def test_headers_are_written_in_lower_case() -> None:
    assert filled({"X-A": Template("{id}", ("id",))}, {"id": 7}) == {b"x-a": b"7"}
