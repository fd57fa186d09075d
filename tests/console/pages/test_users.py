from typing import Any

import pytest

from signalbox.auth import users
from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.auth.models import User
from tests.console.conftest import SignedIn, Visitor, header, told
from tests.support.hub import RunningHub

LONG = "a long password"


async def user_of(hub: RunningHub, name: str) -> User:
    return await hub.hub.context.db.read(users.get_user, name=name)


async def add(somebody: Visitor, name: str = "anna", role: str = "user", password: str = LONG) -> str:
    """What the form is answered with."""
    answer = await somebody.act("/admin/users", name=name, role=role, password=password)
    assert answer.status in (200, 422)
    return answer.body.decode()


async def test_a_user_is_added_and_can_sign_in(hub: RunningHub, signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    answer = await manager.act("/admin/users", name="Anna", role="manager", password=LONG)
    assert told(answer) == {"toast": {"message": "Anna (manager) can sign in.", "kind": "ok"}, "live:audit": {}}
    assert LONG not in answer.body.decode()
    assert (await user_of(hub, "anna")).role == "manager"
    (entry, *_) = await hub.hub.context.db.read(list_entries, wanted=AuditFilter(action="user.add"), limit=1)
    assert (entry.actor, entry.target) == ("user:manager", "user:Anna")
    assert "Anna" in await manager.text("/admin/user-rows", htmx=True)
    assert (await Visitor(hub).sign_in("anna", LONG)).status == 303


@pytest.mark.parametrize(
    ("name", "role", "password", "said"),
    [
        ("an na", "user", LONG, "1 to 100 letters"),
        ("MANAGER", "user", LONG, "there is a user MANAGER already"),
        ("anna", "user", "short", "8 to 1024 characters, this one has 5"),
        ("anna", "boss", LONG, "Input should be"),
        ("", "user", LONG, "Field required"),
    ],
)
async def test_what_is_wrong_stands_at_its_field(
    hub: RunningHub, signed_in: SignedIn, name: str, role: str, password: str, said: str
) -> None:
    manager = await signed_in("manager")
    answer = await manager.act("/admin/users", name=name, role=role, password=password)
    assert answer.status == 422
    assert said in answer.body.decode()
    assert 'aria-invalid="true"' in answer.body.decode()
    assert password not in answer.body.decode().replace("8 to 1024", "")
    assert len(await hub.hub.context.db.read(users.list_users)) == 2


async def test_a_new_password_signs_out_whoever_had_the_old_one(hub: RunningHub, signed_in: SignedIn) -> None:
    manager, user = await signed_in("manager"), await signed_in("user")
    assert (await manager.act("/admin/users/user/password", password="short")).status == 422
    answer = await manager.act("/admin/users/user/password", password=LONG)
    assert "must sign in again" in told(answer)["toast"]["message"]
    assert (await user.get()).status == 303
    assert (await Visitor(hub).sign_in("user", LONG)).status == 303


async def test_a_user_is_disabled_enabled_and_promoted(hub: RunningHub, signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    assert told(await manager.act("/admin/users/user/disable"))["toast"]["kind"] == "ok"
    assert (await user_of(hub, "user")).disabled_at is not None
    assert "Enable" in await manager.text("/admin/users/user/state", htmx=True)
    again = await manager.act("/admin/users/user/disable")
    assert (again.status, told(again)["toast"]["kind"]) == (409, "bad")
    await manager.act("/admin/users/user/enable")
    assert (await user_of(hub, "user")).disabled_at is None
    await manager.act("/admin/users/user/role", role="manager")
    assert (await user_of(hub, "user")).role == "manager"
    assert "user.role" in await manager.text("/admin/users/user")


@pytest.mark.parametrize(("what", "fields"), [("disable", {}), ("role", {"role": "user"})])
async def test_nobody_shuts_themselves_out(
    hub: RunningHub, signed_in: SignedIn, what: str, fields: dict[str, Any]
) -> None:
    manager = await signed_in("manager")
    answer = await manager.act(f"/admin/users/MANAGER/{what}", **fields)
    assert answer.status == 409
    assert "another manager can" in told(answer)["toast"]["message"]
    found = await user_of(hub, "manager")
    assert (found.role, found.disabled_at) == ("manager", None)


async def test_a_user_sees_and_changes_nothing(hub: RunningHub, signed_in: SignedIn) -> None:
    user = await signed_in("user")
    for path in ("/users", "/user-rows", "/users/manager", "/users/manager/state", "/users/user"):
        assert (await user.get(f"/admin{path}")).status == 403
    assert "/admin/users" not in await user.text()
    for path in ("", "/manager/password", "/manager/role", "/manager/disable", "/manager/enable"):
        assert (await user.act(f"/admin/users{path}", name="anna", role="user", password=LONG)).status == 403
    assert len(await hub.hub.context.db.read(users.list_users)) == 2


async def test_an_unknown_user_is_not_found(signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    assert (await manager.get("/admin/users/nobody")).status == 404
    assert (await manager.act("/admin/users/nobody/enable")).status == 404


async def test_a_plain_form_is_answered_with_a_page(signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    answer = await manager.act("/admin/users/user/disable", htmx=False)
    assert (answer.status, header(answer, "Location")) == (303, "/console/admin/users")
