"""Doors that are more than a body and a scope: repeats, parameters in paths, tokens of their own, no body."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from signalbox.app.settings import Settings
from tests.app.conftest import Site, is_problem, open_site
from tests.support.databases import Place
from tests.support.durable_hub import create_table, drop_table, read_notes
from tests.support.hub import settings_at
from tests.support.timing import PATIENCE
from tests.support.waiting_hub import SCOPE, SECRET, Makes, sign

ONCE, NAMED, HOOK = "/api/test/once", "/api/test/named", "/api/test/hooks"


@pytest.fixture
def settings(place: Place) -> Iterator[Settings]:
    made = settings_at(place, root_path="/b")
    create_table(made)
    yield made
    drop_table(made)


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    async with open_site(settings, extra=[Makes()]) as opened:
        yield opened


@pytest.fixture
async def lone_site(sqlite_place: Place) -> AsyncIterator[Site]:
    """For what is the same on every database."""
    made = settings_at(sqlite_place)
    create_table(made)
    async with open_site(made, extra=[Makes()]) as opened:
        yield opened


async def post(
    site: Site,
    key: str | None,
    content: str = '{"text": "a"}',
    *,
    token: dict[str, str] | None = None,
    path: str = ONCE,
) -> httpx2.Response:
    headers = dict(token or await site.token(SCOPE))
    if key is not None:
        headers["Idempotency-Key"] = key
    return await site.client.post(path, content=content, headers=headers)


def texts(site: Site) -> list[str]:
    return [row.text for row in read_notes(site.running.hub.settings)]


# -- repeats ----------------------------------------------------------------------------------------------------------


async def test_a_repeat_is_answered_as_the_first_was_and_keeps_nothing(site: Site) -> None:
    token = await site.token(SCOPE)
    first = await post(site, "k1", token=token)
    assert (first.status_code, first.json()) == (201, {"id": 1})
    assert "idempotent-replayed" not in first.headers
    for path in (ONCE, f"{ONCE}/", f"/b{ONCE}"):
        again = await post(site, "k1", token=token, path=path)
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        for name in ("location", "content-type", "content-length"):
            assert again.headers[name] == first.headers[name]
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert texts(site) == ["a"]


async def test_repeats_are_known_after_a_restart(settings: Settings) -> None:
    async with open_site(settings, extra=[Makes()]) as before:
        token = await before.token(SCOPE)
        first = await post(before, "k1", token=token)
    async with open_site(settings, extra=[Makes()]) as after:
        again = await post(after, "k1", token=token)
        assert again.json() == first.json()
        assert again.headers["idempotent-replayed"] == "true"
        assert texts(after) == ["a"]


async def test_of_many_at_once_one_is_kept(site: Site) -> None:
    token = await site.token(SCOPE)
    answers = await asyncio.gather(*(post(site, "k1", token=token) for _ in range(40)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert texts(site) == ["a"]


async def test_a_key_of_another_body_is_refused(site: Site) -> None:
    token = await site.token(SCOPE)
    await post(site, "k1", token=token)
    body = is_problem(await post(site, "k1", '{"text": "b"}', token=token), status=422, code="idempotency_key_reused")
    assert body["errors"][0]["field"] == "Idempotency-Key"
    assert (await post(site, "k2", '{"text": "b"}', token=token)).status_code == 201
    assert texts(site) == ["a", "b"]


async def test_a_refused_request_may_be_sent_again_under_its_key(site: Site) -> None:
    token = await site.token(SCOPE)
    for _ in range(2):
        is_problem(await post(site, "k1", '{"text": "taken"}', token=token), status=409, code="taken")
        is_problem(await post(site, "k2", '{"text": "boom"}', token=token), status=500, code="internal_error")
        is_problem(await post(site, "k3", '{"text": 1}', token=token), status=422, code="validation_error")
    for key in ("k1", "k2", "k3"):
        assert (await post(site, key, token=token)).status_code == 201


async def test_apps_do_not_share_keys(lone_site: Site) -> None:
    one = await lone_site.token(SCOPE)
    other = {"Token": (await lone_site.running.token(SCOPE, app="other")).text}
    assert (await post(lone_site, "k1", token=one)).json() == {"id": 1}
    assert (await post(lone_site, "k1", token=other)).json() == {"id": 2}


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_what_is_no_key_is_refused(lone_site: Site, key: str) -> None:
    is_problem(await post(lone_site, key), status=400, code="invalid_idempotency_key")
    assert texts(lone_site) == []


async def test_without_a_key_every_request_counts(lone_site: Site) -> None:
    assert [(await post(lone_site, None)).json()["id"] for _ in range(2)] == [1, 2]


async def test_keys_are_forgotten_when_they_are_old(sqlite_place: Place) -> None:
    made = settings_at(sqlite_place, retention={"idempotency_keys": "1s"})
    create_table(made)
    async with open_site(made, extra=[Makes()]) as site, asyncio.timeout(PATIENCE):
        token = await site.token(SCOPE)
        assert (await post(site, "k1", token=token)).json() == {"id": 1}
        while (answer := await post(site, "k1", token=token)).json() == {"id": 1}:
            await site.running.hub.sweeper.sweep()
            await asyncio.sleep(0.05)
        assert answer.json() == {"id": 2}


# -- paths ------------------------------------------------------------------------------------------------------------


async def test_a_door_gets_the_parameters_of_its_path(site: Site) -> None:
    token = await site.token(SCOPE)
    for path in (f"{NAMED}/one", f"{NAMED}/tw%C3%B6/", f"/b{NAMED}/a%2Fb"):
        answer = await site.client.put(path, json={"text": "x"}, headers=token)
        assert answer.status_code == 201, answer.text
    assert texts(site) == ["one: x", "twö: x", "a/b: x"]


async def test_each_path_of_a_template_has_keys_for_its_own_requests(lone_site: Site) -> None:
    headers = {**await lone_site.token(SCOPE), "Idempotency-Key": "k1"}
    assert (await lone_site.client.put(f"{NAMED}/one", json={"text": "x"}, headers=headers)).status_code == 201
    answer = await lone_site.client.put(f"{NAMED}/two", json={"text": "x"}, headers=headers)
    is_problem(answer, status=422, code="idempotency_key_reused")


# -- hooks ------------------------------------------------------------------------------------------------------------


async def test_a_hook_checks_what_it_was_sent_by_itself(site: Site) -> None:
    content = b'not {"json": at all'
    headers = {"X-Signature": sign(content).decode(), "Token": "sbx_whatever"}
    answer = await site.client.post(f"{HOOK}/bot?a=1&b", content=content, headers=headers)
    assert answer.status_code == 201, answer.text
    assert texts(site) == [f"bot a=1&b {content.decode()} anonymous:anonymous"]


async def test_what_a_hook_refuses_reaches_no_database(lone_site: Site) -> None:
    for headers in ({}, {"X-Signature": "0" * 64}):
        answer = await lone_site.client.post(f"{HOOK}/bot", content=b"a", headers=headers)
        is_problem(answer, status=403, code="wrong_signature")
        assert SECRET.decode() not in answer.text
    is_problem(await lone_site.client.post(f"{HOOK}/unknown", content=b"a"), status=404, code="no_such_hook")
    is_problem(await lone_site.client.post(f"{HOOK}/bot", content=b"a" * 501), status=413, code="body_too_large")
    assert texts(lone_site) == []


# -- answers ----------------------------------------------------------------------------------------------------------


async def test_a_door_may_take_and_give_no_body(site: Site) -> None:
    token = await site.token(SCOPE)
    await post(site, None, token=token)
    answer = await site.client.delete(ONCE, headers=token)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["x-forgotten"] == "all"
    assert "content-type" not in answer.headers
    assert texts(site) == []
    is_problem(await site.client.delete(ONCE), status=401, code="sign_on_required")
