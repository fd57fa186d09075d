import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from signalbox.app.settings import Settings
from tests.app.conftest import Site, is_problem, open_site
from tests.support.databases import Place, PostgresqlServer
from tests.support.durable_hub import MAX_BODY, PATH, SCOPE, SECRET, create_table, drop_table, make_notes, read_notes
from tests.support.hub import chunked, request, settings_at

JSON = (b"Content-Type", b"application/json")


@pytest.fixture
def settings(place: Place) -> Iterator[Settings]:
    """A hub's settings on a database with a table for notes."""
    made = settings_at(place)
    create_table(made)
    yield made
    drop_table(made)


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    async with open_site(settings, extra=[make_notes]) as opened:
        yield opened


@pytest.fixture
async def lone_site(sqlite_place: Place) -> AsyncIterator[Site]:
    """For what does not reach the database."""
    made = settings_at(sqlite_place, root_path="/b")
    create_table(made)
    async with open_site(made, extra=[make_notes]) as opened:
        yield opened


async def post(site: Site, content: str | bytes, *, path: str = PATH) -> httpx2.Response:
    return await site.client.post(path, content=content, headers=await site.token(SCOPE))


# -- what is kept -----------------------------------------------------------------------------------------------------


async def test_what_is_answered_is_committed(site: Site, settings: Settings) -> None:
    for number in (1, 2, 3):
        answer = await post(site, f'{{"text": "note {number}"}}')
        assert (answer.status_code, answer.json()) == (201, {"id": number})
        assert answer.headers["location"] == f"{PATH}/{number}"
        assert answer.headers["content-type"] == "application/json"
        assert len(answer.headers.get_list("x-request-id")) == len(answer.headers.get_list("date")) == 1
        assert [row.text for row in read_notes(settings)][-1] == f"note {number}"
    assert {row.by for row in read_notes(settings)} == {"app:shop"}


async def test_many_at_once_are_all_kept(site: Site, settings: Settings) -> None:
    headers = await site.token(SCOPE)
    texts = [f"note {number}" for number in range(100)]
    answers = await asyncio.gather(*(site.client.post(PATH, json={"text": text}, headers=headers) for text in texts))
    assert [answer.status_code for answer in answers] == [201] * 100
    kept = {row.id: row.text for row in read_notes(settings)}
    assert [kept[answer.json()["id"]] for answer in answers] == texts


async def test_one_refused_note_spoils_no_other(site: Site, settings: Settings) -> None:
    headers = await site.token(SCOPE)
    texts = ["a", "taken", "b", "boom", "c"]
    answers = await asyncio.gather(*(site.client.post(PATH, json={"text": text}, headers=headers) for text in texts))
    assert [answer.status_code for answer in answers] == [201, 409, 201, 500, 201]
    assert sorted(row.text for row in read_notes(settings)) == ["a", "b", "c"]


async def test_an_absent_database_is_said(
    postgresql_server: PostgresqlServer, caplog: pytest.LogCaptureFixture
) -> None:
    with postgresql_server.database() as place:
        made = settings_at(place)
        create_table(made)
        async with open_site(made, extra=[make_notes]) as site:
            headers = await site.token(SCOPE)
            assert (await site.client.post(PATH, json={"text": "a"}, headers=headers)).status_code == 201
            with postgresql_server.closed(place):
                answer = await site.client.post(PATH, json={"text": "b"}, headers=headers)
                is_problem(answer, status=503, code="database_unavailable")
                assert int(answer.headers["retry-after"]) >= 1
            assert (await site.client.post(PATH, json={"text": "c"}, headers=headers)).status_code == 201
        assert [row.text for row in read_notes(made)] == ["a", "c"]
        drop_table(made)


# -- who may ----------------------------------------------------------------------------------------------------------


async def test_nobody_and_strangers_are_refused(lone_site: Site) -> None:
    for headers in ({}, {"Token": "sbx_" + "x" * 40}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp4"}):
        answer = await lone_site.client.post(PATH, json={"text": "a"}, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
    is_problem(await lone_site.client.post(PATH), status=401, code="sign_on_required")


async def test_a_token_without_the_scope_is_told_which(lone_site: Site) -> None:
    answer = await lone_site.client.post(PATH, json={"text": "a"}, headers=await lone_site.token("tasks:read"))
    assert SCOPE in is_problem(answer, status=403, code="missing_scope")["detail"]


# -- what is taken ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "{", "nonsense", '{"text": "a"} x', b'{"text": "\xff"}', b"\x00"])
async def test_what_is_not_json_is_refused(lone_site: Site, content: str | bytes) -> None:
    is_problem(await post(lone_site, content), status=400, code="invalid_json")


@pytest.mark.parametrize(
    ("content", "field", "said"),
    [
        ("{}", "text", "missing required field"),
        ('{"text": 1}', "text", "Expected `str`, got `int`"),
        ('{"text": "%s"}' % ("x" * 101), "text", "length <= 100"),
        ('{"text": "a", "txet": "b"}', "txet", "unknown field"),
        ('{"text": "a", "place": {"line": "x"}}', "place.line", "Expected `int`"),
        ('{"text": "a", "place": {}}', "place.line", "missing required field"),
        ("[]", "body", "Expected `object`"),
    ],
)
async def test_wrong_fields_are_named(lone_site: Site, content: str, field: str, said: str) -> None:
    body = is_problem(await post(lone_site, content), status=422, code="validation_error")
    assert [error["field"] for error in body["errors"]] == [field]
    assert said in body["errors"][0]["message"]
    assert field in body["detail"]


def padded(size: int) -> bytes:
    return b'{"text": "a"}'.ljust(size)


async def test_the_limit_is_the_largest_body(lone_site: Site) -> None:
    assert (await post(lone_site, padded(MAX_BODY))).status_code == 201
    is_problem(await post(lone_site, padded(MAX_BODY + 1)), status=413, code="body_too_large")


async def test_the_limit_holds_for_chunks(lone_site: Site) -> None:
    token = (await lone_site.token(SCOPE))["Token"].encode()
    headers = [JSON, (b"Token", token), (b"Transfer-Encoding", b"chunked")]
    pieces = [padded(MAX_BODY)[start : start + 100] for start in range(0, MAX_BODY, 100)]
    fits, more = chunked(*pieces), chunked(*pieces, b" ")
    for body, status in ((fits, 201), (more, 413)):
        answer = await lone_site.running.ask(PATH.encode(), method=b"POST", headers=headers, body=body)
        assert answer.status == status


async def test_a_client_that_leaves_keeps_nothing(lone_site: Site, caplog: pytest.LogCaptureFixture) -> None:
    token = (await lone_site.token(SCOPE))["Token"].encode()
    headers = [JSON, (b"Token", token), (b"Content-Length", b"100")]
    async with lone_site.running.client() as client:
        await client.send(request(PATH.encode(), method=b"POST", headers=headers, body=b'{"text": "a"}'))
        client.abort()
    assert (await post(lone_site, '{"text": "b"}')).json() == {"id": 1}
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# -- paths and methods ------------------------------------------------------------------------------------------------


async def test_a_door_stands_with_and_without_slash_and_root_path(lone_site: Site) -> None:
    for path in (PATH, f"{PATH}/", f"/b{PATH}", f"/b{PATH}/"):
        answer = await post(lone_site, '{"text": "a"}', path=path)
        assert answer.headers["location"] == f"/b{PATH}/{answer.json()['id']}"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_not_allowed(lone_site: Site, method: str) -> None:
    answer = await lone_site.client.request(method, PATH)
    is_problem(answer, status=405, code="method_not_allowed")
    assert answer.headers["allow"] == "POST"


async def test_what_nobody_expected_is_logged_and_not_told(lone_site: Site, caplog: pytest.LogCaptureFixture) -> None:
    answer = await post(lone_site, '{"text": "boom"}')
    is_problem(answer, status=500, code="internal_error")
    assert SECRET not in answer.text
    assert SECRET in caplog.text
    is_problem(await post(lone_site, '{"text": "taken"}'), status=409, code="taken")


# -- what is said of it -----------------------------------------------------------------------------------------------


async def test_a_door_is_described_in_openapi(lone_site: Site) -> None:
    document = (await lone_site.client.get("/openapi.json")).json()
    operation = document["paths"][PATH]["post"]
    assert (operation["tags"], operation["summary"]) == (["test"], "Keep a note")
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Note"}
    created = operation["responses"]["201"]["content"]["application/json"]["schema"]
    assert created == {"$ref": "#/components/schemas/Kept"}
    assert set(operation["responses"]) == {"201", "400", "401", "403", "413", "422", "503"}
    schemas = document["components"]["schemas"]
    assert schemas["Note"]["required"] == ["text"]
    assert {"Note", "Kept", "Place"} <= schemas.keys()
    declared = document["components"]["securitySchemes"]
    assert [name for way in operation["security"] for name in way if name not in declared] == []
