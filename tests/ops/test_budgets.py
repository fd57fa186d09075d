from dataclasses import replace

import httpx2
import pytest
from fastapi import FastAPI

from signalbox.app import errors
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.security import Guard
from signalbox.auth.service import create_token
from signalbox.auth.settings import AuthSettings
from signalbox.core.rates import parse_rate
from signalbox.infra.context import Context
from signalbox.infra.limits.budgets import Budgets
from signalbox.infra.limits.settings import BudgetSettings
from signalbox.ops.budgets import list_budgets
from signalbox.ops.routes.trail import build_router

START = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


@pytest.fixture
def budgeted(context: Context) -> Context:
    """With budgets for two hosts, of which one is in use."""
    settings = [
        BudgetSettings(host="api.example.com", limits=[parse_rate("50/30s"), parse_rate("1000/1d")]),
        BudgetSettings(host="a.test:8443", limits=[parse_rate("2/1d")], poll_share=0.0),
    ]
    return replace(context, budgets=Budgets(settings, context.db, context.clock))


async def test_all_budgets_are_listed_in_the_order_of_the_settings(budgeted: Context) -> None:
    await budgeted.budgets.acquire("api.example.com", count=3, now=START)
    await budgeted.budgets.acquire("api.example.com", purpose="poll", now=START)
    await budgeted.db.write(budgeted.budgets.pause, "a.test:8443", until=START + 60_000_000)
    first, second = await budgeted.db.read(list_budgets, budgets=budgeted.budgets, now=START)
    assert first.model_dump() == {
        "host": "api.example.com",
        "limits": [
            {"rate": "50/30s", "used": 4, "remaining": 46, "polls": 1, "poll_limit": 5},
            {"rate": "1000/1d", "used": 4, "remaining": 996, "polls": 1, "poll_limit": 100},
        ],
        "paused_until": None,
    }
    assert (second.host, second.limits[0].poll_limit) == ("a.test:8443", None)
    assert second.model_dump(mode="json")["paused_until"] == "2026-01-01T00:01:00Z"


async def test_users_see_them_over_http(budgeted: Context) -> None:
    runtime, app = AuthRuntime(budgeted, AuthSettings()), FastAPI()
    await runtime.open()
    app.include_router(build_router(budgeted, Guard(runtime)))
    errors.install(app)
    statuses = {}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hub") as client:
        for scope in ("user", "gateway"):
            token = await budgeted.db.write(
                create_token, app=scope, scopes=[scope], expires_at=None, actor="desk", at=START - 1
            )
            answer = await client.get("/api/budgets", headers={"Token": token.text})
            statuses[scope] = answer.status_code
            if scope == "user":
                assert [each["host"] for each in answer.json()] == ["api.example.com", "a.test:8443"]
        statuses["nobody"] = (await client.get("/api/budgets")).status_code
    await runtime.close()
    assert statuses == {"user": 200, "gateway": 403, "nobody": 401}
