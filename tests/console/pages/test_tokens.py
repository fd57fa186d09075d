import re

import pytest

from signalbox.auth import service
from signalbox.auth.models import AppToken
from signalbox.console.pages.tokens import state_of
from signalbox.core.times import DAY
from tests.console.conftest import SignedIn, Visitor, told
from tests.support.hub import Answer, RunningHub

FORM = (b"Content-Type", b"application/x-www-form-urlencoded")


async def tokens_of(hub: RunningHub) -> list[AppToken]:
    return await hub.hub.context.db.read(service.list_tokens)


async def create(somebody: Visitor, body: str) -> Answer:
    """Send the form; a scope may come several times."""
    headers = [
        (b"Cookie", somebody.cookie.encode()),
        (b"X-CSRF-Token", somebody.csrf.encode()),
        (b"HX-Request", b"true"),
        FORM,
    ]
    return await somebody.hub.ask(b"/console/admin/tokens", method=b"POST", headers=headers, body=body.encode())


async def test_a_token_is_shown_once_and_works(hub: RunningHub, signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    answer = await create(manager, "app=shop&scope=gateway&scope=tasks:read&lifetime=30d")
    assert answer.status == 200
    found = re.search(r"sbx_[A-Za-z0-9_-]{20,}", answer.body.decode())
    assert found is not None
    assert told(answer)["live:audit"] == {}
    (token,) = await tokens_of(hub)
    assert (token.app, token.any_app, token.scopes) == ("shop", False, ["gateway", "tasks:read"])
    assert token.expires_at == token.created_at + 30 * DAY
    assert token.created_by == "user:manager"
    page = await manager.text("/admin/tokens")
    assert token.prefix in page
    assert found[0] not in page
    me = await hub.ask(b"/auth/me", headers=[(b"Token", found[0].encode())])
    assert me.status == 200


async def test_a_token_for_any_app_that_never_ends(hub: RunningHub, signed_in: SignedIn) -> None:
    assert (await create(await signed_in("manager"), "any_app=true&scope=gateway&lifetime=")).status == 200
    (token,) = await tokens_of(hub)
    assert (token.app, token.any_app, token.expires_at) == (None, True, None)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("scope=gateway", "name the app"),
        ("app=shop", "a token needs a scope"),
        ("app=shop&scope=everything", "there is no scope"),
        ("app=%C3%A9&scope=gateway", "ASCII"),
        ("app=shop&scope=gateway&lifetime=7y", "Input should be"),
    ],
)
async def test_what_is_wrong_stands_at_its_field(hub: RunningHub, signed_in: SignedIn, body: str, said: str) -> None:
    answer = await create(await signed_in("manager"), body)
    assert answer.status == 422
    assert said in answer.body.decode()
    assert await tokens_of(hub) == []


async def test_a_token_is_revoked_and_leaves_the_list(hub: RunningHub, signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    await create(manager, "app=shop&scope=gateway")
    (token,) = await tokens_of(hub)
    answer = await manager.act(f"/admin/tokens/{token.id}/revoke")
    assert "is revoked" in told(answer)["toast"]["message"]
    (revoked,) = await tokens_of(hub)
    assert revoked.revoked_at is not None
    rows = await manager.text("/admin/tokens/rows", htmx=True)
    assert token.prefix not in rows
    assert "And 1 that ended" in rows
    every = await manager.text("/admin/tokens/rows?show=all", htmx=True)
    assert "revoked" in every
    assert "/revoke" not in every
    again = await manager.act(f"/admin/tokens/{token.id}/revoke")
    assert (again.status, told(again)["toast"]["kind"]) == (409, "bad")


async def test_a_user_sees_and_changes_nothing(hub: RunningHub, signed_in: SignedIn) -> None:
    await create(await signed_in("manager"), "app=shop&scope=gateway")
    user = await signed_in("user")
    for path in ("", "/rows", "/new"):
        assert (await user.get(f"/admin/tokens{path}")).status == 403
    assert "/admin/tokens" not in await user.text()
    assert (await create(user, "app=shop&scope=manager")).status == 403
    (token,) = await tokens_of(hub)
    assert (await user.act(f"/admin/tokens/{token.id}/revoke")).status == 403
    assert (await tokens_of(hub)) == [token]


async def test_without_tokens_the_next_step_is_said(signed_in: SignedIn) -> None:
    assert "signalbox tokens create" in await (await signed_in("manager")).text("/admin/tokens")


async def test_the_form_comes_back_empty(signed_in: SignedIn) -> None:
    assert "checked" not in await (await signed_in("manager")).text("/admin/tokens/new", htmx=True)


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "word"),
    [(None, None, "active"), (11, None, "active"), (10, None, "expired"), (11, 5, "revoked")],
)
def test_states(expires_at: int | None, revoked_at: int | None, word: str) -> None:
    token = AppToken(
        1,
        "a",
        any_app=False,
        prefix="",
        hash=b"",
        scopes=[],
        created_at=1,
        created_by="",
        expires_at=expires_at,
        revoked_at=revoked_at,
        last_used_at=None,
    )
    assert state_of(token, now=10)[1] == word
