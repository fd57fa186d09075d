from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from signalbox.app import errors
from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.auth.routes import build_router
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.security import Guard
from tests.auth.conftest import PASSWORD, Desk


@pytest.fixture
async def http(runtime: AuthRuntime) -> AsyncIterator[httpx2.AsyncClient]:
    app = FastAPI()
    app.include_router(build_router(runtime, Guard(runtime), request_id_of=lambda _request: "r1"))
    errors.install(app)
    transport = httpx2.ASGITransport(app, client=("192.0.2.7", 4711))
    async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as client:
        yield client


def form(name: str = "anna", password: str = PASSWORD, **more: str) -> dict[str, str]:
    return {"grant_type": "password", "username": name, "password": password, **more}


async def test_signing_in_and_asking_who_one_is(desk: Desk, http: httpx2.AsyncClient) -> None:
    await desk.add_user("Anna")
    answer = await http.post("/auth/token", data=form())
    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert {**body, "access_token": ""} == {
        "access_token": "",
        "token_type": "bearer",
        "expires_in": 12 * 3600,
        "scope": "user",
    }
    me = await http.get("/auth/me", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert me.json() == {"name": "Anna", "kind": "user", "app": None, "role": "user", "scopes": ["user"]}
    (entry, *_) = await desk.context.db.read(list_entries, wanted=AuditFilter(), limit=1)
    assert (entry.action, entry.request_id, (entry.after or {})["address"]) == ("user.sign_in", "r1", "192.0.2.7")


async def test_an_app_asks_who_it_is(desk: Desk, http: httpx2.AsyncClient) -> None:
    text = (await desk.create_token("tasks:read", "gateway", any_app=True)).text
    expected = {"kind": "app", "role": None, "scopes": ["gateway", "tasks:read"]}
    me = await http.get("/auth/me", headers={"Token": text, "App-name": "bot"})
    assert me.json() == {**expected, "name": "bot", "app": "bot"}
    nameless = await http.get("/auth/me", headers={"Token": text})
    assert (nameless.status_code, nameless.json()["code"]) == (400, "app_name_required")
    assert "App-name" in nameless.json()["detail"]


async def test_scopes_can_be_asked_for(desk: Desk, http: httpx2.AsyncClient) -> None:
    await desk.add_user("anna")
    await desk.add_user("max", role="manager")
    granted = await http.post("/auth/token", data=form("max", scope="manager tasks:write"))
    assert granted.json()["scope"] == "manager tasks:write"
    refused = await http.post("/auth/token", data=form(scope="user manager"))
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    assert "manager" in refused.json()["detail"]
    unknown = await http.post("/auth/token", data=form(scope="openid"))
    assert (unknown.status_code, unknown.json()["code"]) == (400, "unknown_scope")


async def test_a_wrong_password_is_401_and_too_many_are_429(desk: Desk, http: httpx2.AsyncClient) -> None:
    await desk.add_user("anna")
    for _ in range(5):
        wrong = await http.post("/auth/token", data=form(password="wrong"))
        assert (wrong.status_code, wrong.json()["code"]) == (401, "wrong_credentials")
        assert wrong.headers["www-authenticate"] == "Bearer"
    limited = await http.post("/auth/token", data=form())
    assert (limited.status_code, limited.json()["code"]) == (429, "too_many_attempts")
    assert limited.headers["retry-after"] == "60"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic eDp5"},
        {"Token": "sbx_" + "a" * 40},
        {"Token": ""},
    ],
)
async def test_nobody_known_is_401(http: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    answer = await http.get("/auth/me", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_form_without_a_name_is_422(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/auth/token", data={"password": "x"})
    assert answer.status_code == 422
    assert "username" in answer.text


async def test_a_nul_in_a_name_is_an_unknown_user(http: httpx2.AsyncClient) -> None:
    assert (await http.post("/auth/token", data=form("an\0na", "pass\0word"))).status_code == 401
