import asyncio

import pytest

from signalbox.auth import users
from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.auth.errors import MissingScopeError, TooManyAttemptsError, WrongCredentialsError
from signalbox.auth.models import AuditRow
from signalbox.auth.passwords import Cost, Passwords
from signalbox.auth.settings import LoginAttempts
from signalbox.auth.sign_in import LoginRequest, SignIn, site_of
from signalbox.infra.db import DatabaseUnavailableError
from tests.auth.conftest import CHEAP, PASSWORD, Desk

LIMITS = LoginAttempts()


@pytest.fixture
def door(desk: Desk) -> SignIn:
    return SignIn(desk.context.db, clock=desk.context.clock, passwords=Passwords(cost=CHEAP))


async def attempt(door: SignIn, name: str = "anna", password: str = PASSWORD, *, address: str = "192.0.2.1") -> str:
    user, _ = await door.check(LoginRequest(name, password, address=address, request_id="r1"), limits=LIMITS)
    return user.name


async def refused(door: SignIn, name: str, password: str, *, address: str = "192.0.2.1") -> type[Exception]:
    with pytest.raises((WrongCredentialsError, TooManyAttemptsError)) as error:
        await attempt(door, name, password, address=address)
    return error.type


async def audited(desk: Desk) -> list[AuditRow]:
    entries = await desk.context.db.read(list_entries, wanted=AuditFilter(), limit=100)
    return [entry for entry in reversed(entries) if entry.action.startswith("user.sign_in")]


async def test_the_right_password_lets_in_and_is_noted(desk: Desk, door: SignIn) -> None:
    await desk.add_user("Anna")
    assert await attempt(door, "aNNa") == "Anna"
    (entry,) = await audited(desk)
    assert (entry.actor, entry.action, entry.request_id) == ("user:Anna", "user.sign_in", "r1")
    assert (await desk.context.db.read(users.get_user, name="anna")).last_login_at == desk.now


async def test_nobody_learns_what_was_wrong(desk: Desk, door: SignIn) -> None:
    await desk.add_user("anna")
    await desk.add_user("bob")
    await desk.disable("bob")
    messages = set()
    for name, password in [("anna", "wrong"), ("nobody", PASSWORD), ("bob", PASSWORD), ("bob", "wrong"), ("\0", "")]:
        with pytest.raises(WrongCredentialsError) as error:
            await attempt(door, name, password)
        messages.add((str(error.value), error.value.code))
    assert len(messages) == 1
    entries = await audited(desk)
    assert {entry.action for entry in entries} == {"user.sign_in_refused"}
    assert [entry.target for entry in entries] == ["user:anna", "user:?", "user:bob", "user:bob", "user:?"]


async def test_a_password_typed_as_a_name_is_not_kept(desk: Desk, door: SignIn) -> None:
    await refused(door, "my-secret-password", "")
    assert "my-secret" not in repr(await audited(desk))


async def test_five_failures_a_minute_for_a_user_from_an_address(desk: Desk, door: SignIn) -> None:
    await desk.add_user()
    for _ in range(5):
        assert await refused(door, "anna", "wrong") is WrongCredentialsError
    with pytest.raises(TooManyAttemptsError) as limited:
        await attempt(door, "ANNA", PASSWORD)
    assert limited.value.retry_after == 60
    assert await attempt(door, address="192.0.2.2") == "anna", "others are not locked out with them"
    desk.clock.advance(59.9)
    assert await refused(door, "anna", PASSWORD) is TooManyAttemptsError
    desk.clock.advance(0.1)
    assert await attempt(door) == "anna"


async def test_twenty_failures_a_minute_from_an_address(desk: Desk, door: SignIn) -> None:
    await desk.add_user()
    for number in range(20):
        assert await refused(door, f"user{number}", "wrong") is WrongCredentialsError
    assert await refused(door, "anna", PASSWORD) is TooManyAttemptsError
    assert await attempt(door, address="192.0.2.2") == "anna"


async def test_sixty_at_once_get_no_more_tries_than_one_by_one(desk: Desk, door: SignIn) -> None:
    await desk.add_user()
    kinds = await asyncio.gather(*(refused(door, "anna", f"guess number {number}") for number in range(60)))
    assert kinds.count(WrongCredentialsError) == 5
    assert kinds.count(TooManyAttemptsError) == 55


async def test_success_is_not_limited(desk: Desk, door: SignIn) -> None:
    await desk.add_user()
    assert [await attempt(door) for _ in range(30)] == ["anna"] * 30


async def test_a_scope_too_many_lets_nobody_in(desk: Desk, door: SignIn) -> None:
    await desk.add_user()
    with pytest.raises(MissingScopeError, match="manager"):
        await door.check(LoginRequest("anna", PASSWORD, ["manager"]), limits=LIMITS)
    assert await audited(desk) == []


async def test_a_hash_of_another_cost_is_replaced(desk: Desk) -> None:
    before = await desk.add_user()
    passwords = Passwords(cost=Cost(time_cost=2, memory_kib=16, parallelism=1))
    door = SignIn(desk.context.db, clock=desk.context.clock, passwords=passwords)
    assert await attempt(door) == "anna"
    after = await desk.context.db.read(users.get_user, name="anna")
    assert after.password_hash.startswith("$argon2id$v=19$m=16,t=2,p=1$")
    assert after.version == before.version
    assert await attempt(door) == "anna"


async def test_an_absent_database_is_no_wrong_password(desk: Desk, door: SignIn) -> None:
    await desk.add_user()
    await desk.context.db.close()
    for _ in range(10):
        with pytest.raises(DatabaseUnavailableError):
            await attempt(door)


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_what_counts_as_one_address(address: str, site: str) -> None:
    assert site_of(address) == site
