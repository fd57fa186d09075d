import re
from collections.abc import AsyncIterator
from typing import Annotated

import httpx2
import pytest
from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel, Field

from signalbox.app import errors as app_errors
from signalbox.core import errors
from tests.app.conftest import is_problem

SECRET = "what nobody outside may read"

FAMILIES: list[tuple[type[errors.SignalboxError], int, str]] = [
    (errors.InvalidError, 400, "Bad Request"),
    (errors.UnauthenticatedError, 401, "Unauthorized"),
    (errors.ForbiddenError, 403, "Forbidden"),
    (errors.NotFoundError, 404, "Not Found"),
    (errors.ConflictError, 409, "Conflict"),
    (errors.TooLargeError, 413, "Content Too Large"),
    (errors.TooManyError, 429, "Too Many Requests"),
    (errors.BadGatewayError, 502, "Bad Gateway"),
    (errors.UnavailableError, 503, "Service Unavailable"),
    (errors.GatewayTimeoutError, 504, "Gateway Timeout"),
]


def own_error(family: type[errors.SignalboxError]) -> errors.SignalboxError:
    """An error as a feature would define it in this family."""
    made: errors.SignalboxError = type("OwnError", (family,), {"code": "own_code"})("what went wrong")
    return made


class Body(BaseModel):
    count: Annotated[int, Field(ge=1)]
    names: list[str]


def build_app() -> FastAPI:
    app = FastAPI()
    app_errors.install(app)

    @app.get("/raise/{name}")
    async def raise_(name: str) -> None:
        families = {kind.__name__: kind for kind, _, _ in FAMILIES}
        raise own_error(families[name])

    @app.post("/body")
    async def body(_body: Body, _limit: Annotated[int, Query(alias="limit")] = 1) -> None: ...

    @app.get("/unexpected")
    async def unexpected() -> None:
        raise RuntimeError(SECRET)

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "no coffee", headers={"X-Pot": "tea"})

    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(build_app(), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://hub.test") as opened:
        yield opened


async def raw_answer(error: errors.SignalboxError, **more: object) -> httpx2.Response:
    """What ``respond`` sends."""
    sent: list[dict[str, object]] = []

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    status = await app_errors.respond(send, error, **more)  # type: ignore[arg-type]
    start, body = sent
    assert status == start["status"]
    return httpx2.Response(status, headers=start["headers"], content=body["body"])  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "status", "title"), FAMILIES)
async def test_each_family_has_its_status(
    client: httpx2.AsyncClient, kind: type[errors.SignalboxError], status: int, title: str
) -> None:
    routed = await client.get(f"/raise/{kind.__name__}")
    raw = await raw_answer(own_error(kind))
    for answer in (routed, raw):
        body = is_problem(answer, status=status, code="own_code")
        assert (body["title"], body["detail"]) == (title, "what went wrong")
        assert body.keys() == {"type", "title", "status", "detail", "code"}
        assert ("www-authenticate" in answer.headers) == (status == 401)
        assert ("retry-after" in answer.headers) == (status in (429, 503))


def test_each_family_of_core_has_a_status() -> None:
    families = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    abstract = {errors.SignalboxError, errors.RetryableError, errors.SettingsError, errors.UnprocessableError}
    assert families - abstract == {kind for kind, _, _ in FAMILIES}


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.01, "2"), (60.0, "60")])
async def test_when_to_try_again_is_rounded_up(seconds: float, header: str) -> None:
    answer = await raw_answer(errors.TooManyError("slower", retry_after=seconds))
    assert answer.headers["retry-after"] == header


async def test_a_raw_answer_may_name_the_request_and_close() -> None:
    plain = await raw_answer(errors.NotFoundError("nothing"))
    assert {"connection", "x-request-id"}.isdisjoint(plain.headers)
    closing = await raw_answer(errors.NotFoundError("nothing"), request_id=b"r-1", close=True)
    assert (closing.headers["connection"], closing.headers["x-request-id"]) == ("close", "r-1")


async def test_wrong_fields_are_all_listed(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/body?limit=x", json={"count": 0, "names": ["a", 1]})
    body = is_problem(answer, status=422, code="validation_error")
    assert {error["field"] for error in body["errors"]} == {"count", "names.1", "limit"}
    assert all(error["message"] for error in body["errors"])
    assert all(error["field"] in body["detail"] for error in body["errors"])


async def test_a_missing_field_is_named(client: httpx2.AsyncClient) -> None:
    body = is_problem(await client.post("/body", json={"count": 1}), status=422, code="validation_error")
    assert body["errors"] == [{"field": "names", "message": "Field required"}]


async def test_a_body_that_is_not_json_is_told_so(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/body", content=b"{", headers={"Content-Type": "application/json"})
    body = is_problem(answer, status=422, code="validation_error")
    assert "JSON" in body["detail"]


async def test_raw_errors_list_fields_too() -> None:
    answer = await raw_answer(errors.UnprocessableError([errors.Fault("a.b", "is missing"), errors.Fault("c", "is 1")]))
    body = is_problem(answer, status=422, code="validation_error")
    assert body["errors"] == [{"field": "a.b", "message": "is missing"}, {"field": "c", "message": "is 1"}]


async def test_what_nobody_expected_is_not_told(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/unexpected")
    is_problem(answer, status=500, code="internal_error")
    assert SECRET not in answer.text
    assert re.search(r"RuntimeError|Traceback|\.py", answer.text) is None


async def test_errors_of_the_framework_have_the_same_form(client: httpx2.AsyncClient) -> None:
    is_problem(await client.get("/nowhere"), status=404, code="not_found")
    teapot = await client.get("/teapot")
    assert is_problem(teapot, status=418, code="error")["detail"] == "no coffee"
    assert teapot.headers["x-pot"] == "tea"


async def test_methods_that_are_allowed_are_named() -> None:
    answer = await raw_answer(app_errors.MethodNotAllowedError("PUT", {"POST", "GET"}))
    is_problem(answer, status=405, code="method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"
