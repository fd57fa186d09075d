from collections.abc import AsyncIterator

import pytest

from signalbox.app.front import MAX_BODY
from tests.app.conftest import Site, is_problem, open_site
from tests.support.databases import Place
from tests.support.hub import chunked, settings_at

OWN = ("/healthz", "/readyz", "/metrics", "/docs", "/redoc", "/openapi.json", "/docs/assets/favicon.svg")


@pytest.fixture
async def below(sqlite_place: Place) -> AsyncIterator[Site]:
    """A hub that a proxy serves below /b."""
    async with open_site(settings_at(sqlite_place, root_path="/b")) as opened:
        yield opened


# -- which paths are own ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", OWN)
async def test_open_paths_are_served_with_and_without_slash(site: Site, path: str) -> None:
    for spelt in (path, f"{path}/", f"/x/..{path}", path.replace("s", "%73")):
        assert (await site.running.ask(spelt.encode())).status == 200


@pytest.mark.parametrize("path", OWN)
async def test_head_is_a_get_without_its_body(site: Site, path: str) -> None:
    if path in ("/readyz", "/metrics"):  # these differ from call to call
        assert (await site.running.ask(path.encode(), method=b"HEAD")).status == 200
        return
    async with site.running.client() as client:
        await client.send(
            b"HEAD %b HTTP/1.1\r\nHost: a\r\n\r\nGET %b HTTP/1.1\r\nHost: a\r\n\r\n" % ((path.encode(),) * 2)
        )
        head, get = await client.answer(method=b"HEAD"), await client.answer()
    assert (head.status, get.status) == (200, 200)
    assert head.value(b"content-length") == get.value(b"content-length") == b"%d" % len(get.body)
    assert head.value(b"content-type") == get.value(b"content-type")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/healthz", "GET, HEAD"),
        ("OPTIONS", "/docs", "GET, HEAD"),
        ("PUT", "/openapi.json", "GET, HEAD"),
        ("GET", "/auth/token", "POST"),
        ("HEAD", "/auth/token", "POST"),
        ("DELETE", "/api/statistics", "GET, HEAD"),
    ],
)
async def test_other_methods_are_not_allowed(site: Site, method: str, path: str, allowed: str) -> None:
    answer = await site.client.request(method, path)
    assert answer.headers["allow"] == allowed
    if method == "HEAD":
        assert (answer.status_code, answer.content) == (405, b"")
    else:
        assert allowed in is_problem(answer, status=405, code="method_not_allowed")["detail"]


async def test_what_is_not_own_goes_to_the_gateway(sqlite_place: Place) -> None:
    gateway = {"upstreams": [{"name": "shop", "url": "http://127.0.0.1:1"}], "default": "shop"}
    async with open_site(settings_at(sqlite_place, gateway=gateway)) as site:
        for path in (
            b"/",
            b"/healthz/x",
            b"/docs/x",
            b"/apis",
            b"/auth%2Ftoken",
            b"/healthz%2F",
            b"//healthz",
            b"/api/nothing",
        ):
            assert (await site.running.ask(path)).status == 502, path


async def test_a_host_of_an_upstream_has_no_own_paths(sqlite_place: Place, shop: str) -> None:
    gateway = {"upstreams": [{"name": "shop", "url": shop, "host": "shop.test"}]}
    async with open_site(settings_at(sqlite_place, gateway=gateway)) as site:
        assert (await site.running.ask(b"/healthz", host=b"shop.test")).status == 404
        assert (await site.running.ask(b"/status/203", host=b"SHOP.test:80")).status == 203
        assert (await site.running.ask(b"/healthz", host=b"other.test")).status == 200


# -- hosts and targets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", b"this one has 0"),
        (b"GET /healthz HTTP/1.0\r\n\r\n", b"this one has 0"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", b"this one has 2"),
        (b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", b"is not a host name"),
        (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", b"is not a host name"),
        (b"GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n", b"is not a host name"),
        (b"GET /healthz HTTP/1.1\r\nHost: u@a\r\n\r\n", b"is not a host name"),
    ],
)
async def test_a_request_has_exactly_one_host(site: Site, data: bytes, said: bytes) -> None:
    async with site.running.client() as client:
        await client.send(data)
        answer = await client.answer()
        assert (answer.status, answer.value(b"content-type")) == (400, b"application/problem+json")
        assert b'"code": "invalid_host"' in answer.body
        assert said in answer.body
        assert len(answer.values(b"date")) == len(answer.values(b"x-request-id")) == 1
        assert await client.ended()


async def test_a_target_without_path_is_told_so(site: Site) -> None:
    answer = await site.running.ask(b"*", method=b"OPTIONS")
    assert answer.status == 404
    assert b"begins with /" in answer.body


async def test_a_target_may_be_a_whole_address(site: Site) -> None:
    assert (await site.running.ask(b"http://hub.test/healthz")).status == 200


# -- below a root path ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", OWN)
async def test_below_a_root_path_own_paths_are_served_whole_and_stripped(below: Site, path: str) -> None:
    for spelt in (f"/b{path}", path, f"/b{path}/", f"/b/x/..{path}"):
        assert (await below.running.ask(spelt.encode())).status == 200, spelt


@pytest.mark.parametrize("path", ["/bhealthz", "/c/healthz", "/b/b/healthz", "/b%2Fhealthz", "/b"])
async def test_only_the_root_path_itself_is_taken_off(below: Site, path: str) -> None:
    assert (await below.running.ask(path.encode())).status == 404


async def test_links_below_a_root_path_name_it(below: Site) -> None:
    document = (await below.client.get("/b/openapi.json")).json()
    assert document["servers"] == [{"url": "/b"}]
    assert (await below.client.get("/openapi.json")).json() == document


async def test_upstreams_see_no_root_path(sqlite_place: Place, shop: str) -> None:
    gateway = {"upstreams": [{"name": "shop", "url": shop}], "default": "shop"}
    async with open_site(settings_at(sqlite_place, gateway=gateway, root_path="/b")) as site:
        whole, stripped = await site.client.get("/b/echo/%2F"), await site.client.get("/echo/%2F")
    assert whole.json()["raw_path"] == stripped.json()["raw_path"] == "/echo/%2F"


# -- what every answer carries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/auth/me", "/docs/assets/none"])
async def test_answers_carry_date_and_request_id_once(site: Site, path: str) -> None:
    for method in ("GET", "DELETE"):
        answer = await site.client.request(method, path, headers={"X-Request-ID": "mine-1"})
        assert answer.headers.get_list("x-request-id") == ["mine-1"]
        assert len(answer.headers.get_list("date")) == 1


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'a"b'])
async def test_a_request_id_that_is_none_is_replaced(site: Site, given: str) -> None:
    answer = await site.client.get("/healthz", headers={"X-Request-ID": given})
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_large_body_is_refused(site: Site, framing: str) -> None:
    form = (b"Content-Type", b"application/x-www-form-urlencoded")
    body = b"x" * (MAX_BODY + 1)
    if framing == "length":
        answer = await site.running.ask(b"/auth/token", method=b"POST", headers=[form], body=body)
    else:
        headers = [form, (b"Transfer-Encoding", b"chunked")]
        answer = await site.running.ask(b"/auth/token", method=b"POST", headers=headers, body=chunked(body))
    assert (answer.status, answer.value(b"content-type")) == (413, b"application/problem+json")
    assert b'"body_too_large"' in answer.body


async def test_the_address_is_that_which_a_trusted_proxy_names(sqlite_place: Place) -> None:
    gateway = {"trusted_proxies": ["127.0.0.0/8"]}
    attempts = {"per_user": 1, "per_address": 1}
    async with open_site(settings_at(sqlite_place, gateway=gateway, auth={"login_attempts": attempts})) as site:
        statuses = [
            (
                await site.client.post(
                    "/auth/token", data={"username": "a", "password": "b"}, headers={"X-Forwarded-For": address}
                )
            ).status_code
            for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")
        ]
    assert statuses == [401, 401, 429]
