import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from signalbox.core.rates import parse_rate
from signalbox.core.secrets import Secret
from signalbox.sandbox.rawserver import RawUpstream
from signalbox.tasks.providers import Outgoing, PollFailedError, Receipt, Sighting, SubmitRefusedError
from signalbox.tasks.providers.http_json import HttpJsonProvider, HttpJsonSettings
from signalbox.tasks.settings import TasksSettings
from tests.tasks.providers.conftest import World

TASK = Outgoing(7, "r-7", {"ip": "10.0.0.1", "who": {"name": "ü/ü"}}, 1)
BASE: dict[str, Any] = {"kind": "http-json", "name": "x", "list_url": "https://api.example.com/tasks"}


@pytest.mark.parametrize(
    ("settings", "place", "complaint"),
    [
        ({"list_url": None}, (), "needs list_url, batch_url or item_url"),
        ({"submit_url": "https://{id}.example.com"}, ("submit_url",), "a host without words"),
        ({"submit_url": "https://api.example.com/{name}"}, ("submit_url",), "unknown word {name}"),
        ({"list_url": "https://api.example.com/{id}"}, ("list_url",), "unknown word {id}"),
        ({"submit_url": "https://other.example.com/"}, (), "have the same host"),
        ({"submit_url": "http://api.example.com/"}, (), "have the same host"),
        ({"item_url": "https://api.example.com/tasks"}, (), "item_url does not say where {id} stands"),
        ({"batch_url": "https://api.example.com/tasks"}, (), "batch_url does not say where {ids} stands"),
        ({"lookup_url": "https://api.example.com/tasks"}, (), "lookup_url does not say where {reference} stands"),
        ({"headers": {"Authorization": "Bearer {secret.token}"}}, (), "{secret.token} names no entry of secrets"),
        ({"body": {"key": "{secret.token}"}}, (), "{secret.token} names no entry of secrets"),
        ({"list_url": "https://api.example.com/?key={secret.key}"}, (), "{secret.key} names no entry of secrets"),
        ({"headers": {"Authorization": "{secret}"}, "secrets": {"a": "b"}}, (), "{secret} names no entry of secrets"),
        ({"list_url": "https://api.example.com/{secret.key}"}, ("list_url",), "written to the call log"),
        ({"headers": {"X": "{id}"}}, ("headers", "X"), "unknown word {id}"),
        ({"submit_headers": {"X": "{ids}"}}, ("submit_headers", "X"), "unknown word {ids}"),
        ({"headers": {"Host": "x"}}, ("headers", "Host", "[key]"), "is set by the client itself"),
        ({"headers": {"a b": "x"}}, ("headers", "a b", "[key]"), "pattern"),
        ({"body": [{"x": "{oops"}]}, ("body",), "a single {"),
        ({"id_field": "a..b"}, ("id_field",), "is no place in an answer"),
        ({"statuses": {"done": "Finished"}}, ("statuses", "done"), "'Completed'"),
        ({"limits": ["50 a minute"]}, ("limits", 0), "is not a rate"),
        ({"unclear_statuses": [404]}, ("unclear_statuses", 0), "greater than or equal to 500"),
        ({"poll_interval": 0}, ("poll_interval",), "greater than 0"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name(settings: Any, place: tuple[str], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HttpJsonSettings.model_validate(BASE | settings)
    (error,) = caught.value.errors()
    assert error["loc"] == place
    assert complaint in error["msg"]


def test_the_settings_of_the_documentation_are_right() -> None:
    text = (Path(__file__).parents[3] / "docs/howto/add-a-provider.md").read_text(encoding="utf-8")
    whole, *parts = [
        tomllib.loads(each) for each in re.findall(r"^```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]
    (provider,) = TasksSettings.model_validate(whole["tasks"]).providers
    assert isinstance(provider, HttpJsonSettings)
    merged = whole["tasks"]["providers"][0] | parts[0] | parts[1]
    read = HttpJsonSettings.model_validate(merged)
    assert (len(parts), read.name, read.batch_size) == (2, "netlab", 100)


def test_secrets_are_shown_nowhere() -> None:
    settings = HttpJsonSettings.model_validate(BASE | {"secrets": {"token": "s3cr3t"}})
    assert "s3cr3t" not in repr(settings) + settings.model_dump_json()


def test_limits_have_keys_of_their_own(world: World) -> None:
    provider = world.provider(limits=["50/30s", "1000/1d"])
    assert provider.limits == {
        "provider:example:50/30s": parse_rate("50/30s"),
        "provider:example:1000/1d": parse_rate("1000/1d"),
    }
    assert provider.host == world.url.removeprefix("http://")


async def test_a_submission_is_sent_as_the_settings_say(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALBOX_TEST_TOKEN", "s3cr3t")
    provider = world.provider(
        submit_url=f"{world.url}/tasks?who={{payload.who.name}}",
        body={"id": "{id}", "reference": "{reference}", "ip": "{payload.ip}", "key": "{secret.token}", "n": [1]},
        headers={"Authorization": "Bearer {secret.token}"},
        submit_headers={"X-Task": "task {id}"},
        secrets={"token": Secret("env:SIGNALBOX_TEST_TOKEN")},
    )
    assert await provider.submit(TASK) == Receipt("7", "Not Started")
    ((target, headers, body),) = world.app.received
    assert target == b"/tasks?who=%C3%BC%2F%C3%BC"
    assert json.loads(body) == {"id": 7, "reference": "r-7", "ip": "10.0.0.1", "key": "s3cr3t", "n": [1]}
    assert {name: headers[name] for name in (b"authorization", b"x-task", b"idempotency-key", b"content-type")} == {
        b"authorization": b"Bearer s3cr3t",
        b"x-task": b"task 7",
        b"idempotency-key": b"r-7",
        b"content-type": b"application/json",
    }


async def test_by_default_the_payload_is_sent_and_nothing_else_said(world: World) -> None:
    settings = {"kind": "http-json", "name": "x", "submit_url": f"{world.url}/tasks", "list_url": f"{world.url}/tasks"}
    provider = HttpJsonProvider(HttpJsonSettings.model_validate(settings), outbound=world.outbound, clock=world.clock)
    assert await provider.submit(TASK) == Receipt("1", "Not Started")
    (received,) = world.app.received
    assert json.loads(received.body) == TASK.payload
    assert not {b"idempotency-key", b"authorization", b"traceparent"} & received.headers.keys()
    assert (provider.can_look_up, provider.is_idempotent, provider.batch) == (False, False, None)
    with pytest.raises(PollFailedError, match="has no lookup_url"):
        await provider.look_up("r-7")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"body": {"x": "{payload.missing}"}}, "there is no payload.missing"),
        ({"submit_headers": {"X": "{payload.who.name}"}}, "may not stand in a header"),
        ({"submit_url": None}, "takes no tasks"),
    ],
)
async def test_a_task_that_cannot_be_written_down_is_refused_for_good_and_never_sent(
    world: World, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(SubmitRefusedError, match=complaint) as caught:
        await world.provider(**settings).submit(TASK)
    assert (caught.value.permanent, caught.value.sent) == (True, False)
    assert not world.app.received


async def test_a_list_that_is_gone_is_a_failed_poll_and_no_empty_one(world: World) -> None:
    with pytest.raises(PollFailedError, match="404: nothing is here"):
        await world.provider(list_url=f"{world.url}/elsewhere").poll([])


async def test_several_are_asked_for_at_once(world: World) -> None:
    provider = world.provider(list_url=None, batch_url=f"{world.url}/tasks?ids={{ids}}", batch_size=3)
    for key in ("1", "2", "a b/c"):
        world.app.book.set(key, "Completed")
    assert provider.batch == 3
    found, bad = await provider.poll(["2", "none", "a b/c"])
    assert (found, bad) == ([Sighting("2", "Completed", None), Sighting("a b/c", "Completed", None)], 0)


async def test_one_is_asked_for_by_itself(world: World) -> None:
    provider = world.provider(list_url=None, item_url=f"{world.url}/tasks/{{id}}")
    world.app.book.set("a b/c", "Error", "bad")
    assert provider.batch == 1
    assert await provider.poll(["a b/c"]) == ([Sighting("a b/c", "Error", "bad")], 0)
    assert await provider.poll(["none"]) == ([], 0)
    with pytest.raises(PollFailedError, match="may not stand in an address"):
        await provider.poll([".."])


@pytest.mark.parametrize(
    ("settings", "status", "sent"),
    [
        ({"lookup_url": None}, 500, False),
        ({"lookup_url": None}, 502, True),
        ({"lookup_url": None}, 504, True),
        ({"lookup_url": None}, 503, False),
        ({"lookup_url": None, "unclear_statuses": [500]}, 500, True),
        ({"lookup_url": None, "unclear_statuses": [500]}, 502, False),
        ({}, 500, True),
        ({}, 503, False),
        ({}, 429, False),
        ({}, 302, False),
    ],
)
async def test_which_answers_leave_open_whether_the_task_was_taken(
    world: World, shop: str, settings: dict[str, Any], status: int, sent: bool
) -> None:
    urls = {"submit_url": f"{shop}/status/{status}", "list_url": f"{shop}/echo"}
    lookup = {} if "lookup_url" in settings else {"lookup_url": f"{shop}/{{reference}}"}
    with pytest.raises(SubmitRefusedError) as caught:
        await world.provider(**urls, **lookup, **settings).submit(TASK)
    assert (caught.value.permanent, caught.value.sent) == (False, sent)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("refused", False),
        ("reset", True),
        ("close", True),
        ("reset-body", True),
        ("garbage", True),
        ("stall", True),
        ("never", True),
    ],
)
async def test_which_broken_calls_leave_it_open(world: World, raw: RawUpstream, path: str, sent: bool) -> None:
    base = raw.refused_url if path == "refused" else raw.url
    urls = {"submit_url": f"{base}/{path}", "list_url": f"{base}/{path}", "lookup_url": None}
    provider = world.provider(**urls, read_timeout=0.2)
    with pytest.raises(SubmitRefusedError) as caught:
        await provider.submit(TASK)
    assert (caught.value.permanent, caught.value.sent) == (False, sent)
    with pytest.raises(PollFailedError):
        await provider.poll([])


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(world: World, shop: str) -> None:
    provider = world.provider(
        submit_url=f"{shop}/bytes/300000", list_url=f"{shop}/bytes/300000", lookup_url=None, max_answer=200_000
    )
    with pytest.raises(PollFailedError, match="larger than 200000 bytes"):
        await provider.poll([])
    with pytest.raises(SubmitRefusedError, match="larger than 200000 bytes") as caught:
        await provider.submit(TASK)
    assert caught.value.sent


async def test_a_redirect_is_not_followed(world: World, shop: str) -> None:
    provider = world.provider(submit_url=f"{shop}/redirect", list_url=f"{shop}/redirect", lookup_url=None)
    with pytest.raises(PollFailedError, match="302"):
        await provider.poll([])
    with pytest.raises(SubmitRefusedError) as caught:
        await provider.submit(TASK)
    assert (caught.value.permanent, caught.value.sent) == (False, False)
    assert [call.route for call in world.told] == ["poll", "submit"]


async def test_a_look_up_that_finds_nothing_for_sure_is_told_from_one_that_fails(world: World) -> None:
    provider = world.provider()
    assert await provider.look_up("r-7") is None
    await provider.submit(TASK)
    for how in ("fail", "busy", "garbage", "empty", "cut", "drop", "refuse"):
        world.app.faults.order(how, route="lookup", times=None)
        with pytest.raises(PollFailedError):
            await provider.look_up("r-7")
        world.app.faults.clear()
    assert await provider.look_up("r-7") == Receipt("7", "Not Started")


async def test_secrets_that_a_server_repeats_are_masked(world: World, shop: str) -> None:
    settings = {
        "secrets": {"token": Secret("s3cr3t-token"), "short": Secret("e")},
        "submit_url": f"{shop}/echo?key={{secret.token}}",
        "list_url": f"{shop}/echo?key={{secret.token}}",
        "lookup_url": None,
        "items": "query_string",
    }
    with pytest.raises(PollFailedError) as caught:
        await world.provider(**settings).poll([])
    assert "s3cr3t" not in str(caught.value)
    assert all("s3cr3t" not in call.path for call in world.told)
    assert world.told
