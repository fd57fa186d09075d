from typing import Annotated

import httpx2
import pytest
from fastapi import Depends, FastAPI

from signalbox.app import errors
from signalbox.auth.errors import UnknownScopeError
from signalbox.auth.principal import Principal
from signalbox.auth.routes import build_router
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.scopes import SCOPES
from signalbox.auth.security import Guard
from tests.auth.conftest import Desk


def build_app(runtime: AuthRuntime) -> FastAPI:
    app, guard = FastAPI(), Guard(runtime)
    app.include_router(build_router(runtime, guard))

    @app.get("/tasks")
    async def tasks(principal: Annotated[Principal, Depends(guard.require("tasks:read"))]) -> str:
        return principal.name

    @app.get("/calls", dependencies=[Depends(guard.require("gateway"))])
    async def calls() -> None: ...

    errors.install(app)
    return app


async def get(app: FastAPI, path: str, token: str | None = None) -> httpx2.Response:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hub") as client:
        return await client.get(path, headers={} if token is None else {"Token": token})


async def test_a_route_lets_those_through_who_have_its_scope(desk: Desk, runtime: AuthRuntime) -> None:
    app = build_app(runtime)
    reader, other = (await desk.create_token("tasks:read")).text, (await desk.create_token("tasks:write")).text
    assert (await get(app, "/tasks", reader)).json() == "shop"
    forbidden = await get(app, "/tasks", other)
    assert (forbidden.status_code, forbidden.json()["code"]) == (403, "missing_scope")
    assert "tasks:read" in forbidden.json()["detail"]
    anonymous = await get(app, "/tasks")
    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "sign_on_required")
    assert (await get(app, "/calls")).status_code == 200, "anonymous callers have the scope gateway"


async def test_an_absent_database_is_503(desk: Desk, runtime: AuthRuntime) -> None:
    reader = (await desk.create_token("tasks:read")).text
    await desk.context.db.close()
    answer = await get(build_app(runtime), "/tasks", reader)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert "retry-after" in answer.headers


def test_a_route_cannot_need_a_scope_that_does_not_exist(runtime: AuthRuntime) -> None:
    with pytest.raises(UnknownScopeError):
        Guard(runtime).require("tasks:raed")


async def test_openapi_says_how_to_sign_on(runtime: AuthRuntime) -> None:
    document = (await get(build_app(runtime), "/openapi.json")).json()
    schemes = document["components"]["securitySchemes"]
    flow = schemes["OAuth2PasswordBearer"]["flows"]["password"]
    assert flow == {"tokenUrl": "auth/token", "scopes": dict(SCOPES)}
    assert (schemes["APIKeyHeader"]["in"], schemes["APIKeyHeader"]["name"]) == ("header", "Token")
    needed = document["paths"]["/tasks"]["get"]["security"]
    assert needed == [{"OAuth2PasswordBearer": ["tasks:read"]}, {"APIKeyHeader": []}]
    assert "security" in document["paths"]["/auth/me"]["get"]
    assert "security" not in document["paths"]["/auth/token"]["post"]


def test_a_guard_knows_who_tells_callers_apart(runtime: AuthRuntime) -> None:
    assert Guard(runtime).runtime is runtime
