import asyncio

import pytest

from signalbox.auth import users
from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.auth.errors import InvalidUserNameError, UnknownUserError, UserExistsError, UserUnchangedError
from signalbox.auth.models import HashedPassword, User
from signalbox.auth.service import current_revision
from signalbox.infra.context import Context
from signalbox.infra.db import Database
from tests.auth.conftest import Desk
from tests.support.databases import Place

HASH = HashedPassword("$argon2id$")


async def add(database: Database, name: str) -> User | UserExistsError:
    try:
        return await database.write(users.add_user, name=name, password=HASH, role="user", actor="test", at=1)
    except UserExistsError as error:
        return error


async def actions(context: Context) -> list[tuple[str, str]]:
    found = await context.db.read(list_entries, wanted=AuditFilter(), limit=100)
    return [(entry.action, entry.target) for entry in reversed(found)]


async def test_a_user_is_added_and_found_in_any_case(desk: Desk) -> None:
    added = await desk.add_user("Anna.Lee", role="manager")
    assert (added.id, added.name, added.role, added.version) == (1, "Anna.Lee", "manager", 1)
    assert added.created_at == added.password_changed_at == desk.now
    assert added.disabled_at is None
    assert added.last_login_at is None
    assert await desk.context.db.read(users.get_user, name="ANNA.LEE") == added
    assert "argon2" not in repr(added)


@pytest.mark.parametrize("name", ["", " anna", "an na", ".anna", "anna\n", "a" * 101, "änna", "anna\0", "../anna"])
async def test_names_that_no_user_can_have(desk: Desk, name: str) -> None:
    with pytest.raises(InvalidUserNameError, match="1 to 100 letters"):
        await desk.add_user(name)
    with pytest.raises(UnknownUserError):
        await desk.context.db.read(users.get_user, name=name)


async def test_a_second_of_that_name_is_a_conflict(desk: Desk) -> None:
    await desk.add_user("Anna")
    with pytest.raises(UserExistsError, match="there is a user aNNA already"):
        await desk.add_user("aNNA")
    assert await actions(desk.context) == [("user.add", "user:Anna")]


async def test_of_many_at_once_one_wins(place: Place, database: Database) -> None:
    """Two processes, each with 8 callers, whose writes are committed in groups."""
    other = place.open()
    names = ["anna", "Anna", "ANNA", "aNNA"] * 2
    results = await asyncio.gather(*(add(process, name) for name in names for process in (database, other)))
    await other.close()
    assert sum(isinstance(result, User) for result in results) == 1
    assert sum(isinstance(result, UserExistsError) for result in results) == 15
    assert len(await database.read(users.list_users)) == 1


async def test_a_conflict_in_a_group_spoils_nobody(context: Context) -> None:
    await add(context.db, "anna")
    names = [f"user{number}" for number in range(40)]
    mixed = [name for pair in zip(names, ["anna"] * 40, strict=True) for name in pair]
    results = await asyncio.gather(*(add(context.db, name) for name in mixed))
    assert [isinstance(result, User) for result in results] == [True, False] * 40
    assert {user.name for user in await context.db.read(users.list_users)} == {"anna", *names}
    assert sorted(await actions(context)) == sorted(("user.add", f"user:{name}") for name in ["anna", *names])


async def test_every_change_is_audited_and_moves_the_revision(desk: Desk) -> None:
    db, at = desk.context.db, desk.now
    revisions = [await db.read(current_revision)]
    await desk.add_user("anna")
    revisions.append(await db.read(current_revision))
    changed = await db.write(users.set_password, name="ANNA", password=HASH, actor="test", at=at + 1)
    revisions.append(await db.read(current_revision))
    disabled = await db.write(users.disable_user, name="anna", actor="test", at=at + 2)
    revisions.append(await db.read(current_revision))
    enabled = await db.write(users.enable_user, name="anna", actor="test", at=at + 3)
    revisions.append(await db.read(current_revision))
    assert revisions == [0, 1, 2, 3, 4]
    assert (changed.password_changed_at, disabled.disabled_at, enabled.disabled_at) == (at + 1, at + 2, None)
    assert [changed.version, disabled.version, enabled.version] == [2, 3, 4], "each makes earlier tokens void"
    entries = await db.read(list_entries, wanted=AuditFilter(target="user:anna"), limit=10)
    assert [(entry.action, entry.at - at, entry.before, entry.after) for entry in reversed(entries)] == [
        ("user.add", 0, None, {"name": "anna", "role": "user"}),
        ("user.password", 1, {"password_changed_at": at}, {"password_changed_at": at + 1}),
        ("user.disable", 2, {"disabled_at": None}, {"disabled_at": at + 2}),
        ("user.enable", 3, {"disabled_at": at + 2}, {"disabled_at": None}),
    ]


async def test_no_secret_gets_into_the_audit(desk: Desk) -> None:
    await desk.add_user("anna")
    await desk.context.db.write(users.set_password, name="anna", password=HASH, actor="test", at=1)
    entries = await desk.context.db.read(list_entries, wanted=AuditFilter(), limit=10)
    assert "argon2" not in repr(entries)


async def test_what_is_so_already_is_a_conflict(desk: Desk) -> None:
    await desk.add_user("anna")
    with pytest.raises(UserUnchangedError, match="anna is enabled already"):
        await desk.context.db.write(users.enable_user, name="anna", actor="test", at=1)
    await desk.disable("anna")
    with pytest.raises(UserUnchangedError, match="anna is disabled already"):
        await desk.disable("anna")


async def test_the_unknown_cannot_be_changed(desk: Desk) -> None:
    db = desk.context.db
    with pytest.raises(UnknownUserError, match="'bob'"):
        await db.write(users.disable_user, name="bob", actor="test", at=1)
    with pytest.raises(UnknownUserError):
        await db.write(users.enable_user, name="bob", actor="test", at=1)
    with pytest.raises(UnknownUserError):
        await db.write(users.set_password, name="bob", password=HASH, actor="test", at=1)
    assert await actions(desk.context) == []


async def test_users_are_listed_by_name(desk: Desk) -> None:
    for name in ("carl", "Bob", "anna"):
        await desk.add_user(name)
    assert [user.name for user in await desk.context.db.read(users.list_users)] == ["anna", "Bob", "carl"]


async def test_only_the_first_start_makes_an_admin(place: Place, database: Database) -> None:
    other = place.open()
    made = await asyncio.gather(
        *(process.write(users.bootstrap_admin, password=HASH, actor="serve", at=1) for process in (database, other) * 5)
    )
    await other.close()
    assert sum(made) == 1
    (admin,) = await database.read(users.list_users)
    assert (admin.name, admin.role) == ("admin", "manager")


async def test_a_role_is_changed_and_earlier_tokens_are_void(desk: Desk) -> None:
    added = await desk.add_user("anna")
    write = desk.context.db.write
    changed = await write(users.set_role, name="ANNA", role="manager", actor="test", at=desk.now)
    assert (changed.role, changed.version) == ("manager", added.version + 1)
    (entry, _) = await desk.context.db.read(list_entries, wanted=AuditFilter(), limit=5)
    assert (entry.action, entry.target) == ("user.role", "user:anna")
    assert (entry.before, entry.after) == ({"role": "user"}, {"role": "manager"})
    with pytest.raises(UserUnchangedError, match="has the role manager already"):
        await write(users.set_role, name="anna", role="manager", actor="test", at=desk.now)
    with pytest.raises(UnknownUserError):
        await write(users.set_role, name="bert", role="manager", actor="test", at=desk.now)
