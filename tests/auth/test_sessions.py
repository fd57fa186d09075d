import pytest

from signalbox.auth import audit, users
from signalbox.auth.errors import TooManyAttemptsError, WrongCredentialsError
from signalbox.auth.models import HashedPassword
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.sessions import BrowserSession, sweep_sessions
from signalbox.auth.sign_in import LoginRequest
from signalbox.core.times import HOUR
from signalbox.infra.context import Context
from tests.auth.conftest import PASSWORD, Desk


async def begin(runtime: AuthRuntime, desk: Desk) -> BrowserSession:
    await desk.add_user("Anna", role="manager")
    return await runtime.sessions.begin(LoginRequest("anna", PASSWORD))


async def test_whoever_signs_in_is_known_by_the_token(runtime: AuthRuntime, desk: Desk) -> None:
    begun = await begin(runtime, desk)
    found = await runtime.sessions.find(begun.token)
    assert found == begun
    assert found is not None
    assert (found.principal.actor, found.principal.role) == ("user:Anna", "manager")


async def test_what_was_never_given_is_nobody(runtime: AuthRuntime, desk: Desk) -> None:
    await begin(runtime, desk)
    for token in ("", "x", "x" * 101, "x" * 10_000_000):
        assert await runtime.sessions.find(token) is None


async def test_the_wrong_password_begins_nothing_and_counts(runtime: AuthRuntime, desk: Desk) -> None:
    await desk.add_user("anna")
    for _ in range(5):
        with pytest.raises(WrongCredentialsError):
            await runtime.sessions.begin(LoginRequest("anna", "wrong"))
    with pytest.raises(TooManyAttemptsError):
        await runtime.sessions.begin(LoginRequest("anna", PASSWORD))


async def test_signing_out_ends_it_once_and_is_audited(runtime: AuthRuntime, desk: Desk, context: Context) -> None:
    begun = await begin(runtime, desk)
    for _ in range(2):
        await runtime.sessions.end(begun, request_id="r1")
    assert await runtime.sessions.find(begun.token) is None
    wanted = audit.AuditFilter(action="user.sign_out")
    entries = await context.db.read(audit.list_entries, wanted=wanted, limit=10)
    assert [(each.actor, each.target, each.request_id) for each in entries] == [("user:Anna", "user:Anna", "r1")]


async def test_a_disabled_user_is_out(runtime: AuthRuntime, desk: Desk, context: Context) -> None:
    begun = await begin(runtime, desk)
    await context.db.write(users.disable_user, name="anna", actor="test", at=desk.clock.now())
    assert await runtime.sessions.find(begun.token) is None
    assert await runtime.sessions.holding([begun.token]) == set()


async def test_a_new_password_ends_all_sessions(runtime: AuthRuntime, desk: Desk, context: Context) -> None:
    begun = await begin(runtime, desk)
    hashed = HashedPassword("$argon2id$other")
    await context.db.write(users.set_password, name="anna", password=hashed, actor="test", at=desk.clock.now())
    assert await runtime.sessions.find(begun.token) is None


async def test_a_session_ends_by_itself_and_is_swept(runtime: AuthRuntime, desk: Desk, context: Context) -> None:
    begun = await begin(runtime, desk)
    desk.clock.advance(11)
    assert await context.db.write(sweep_sessions, begun.expires_at - HOUR, 10) == 0
    assert await runtime.sessions.holding([begun.token, "other"]) == {begun.token}
    assert await context.db.write(sweep_sessions, begun.expires_at, 10) == 1
    assert await runtime.sessions.find(begun.token) is None


async def test_one_that_is_over_does_not_hold_before_it_is_swept(runtime: AuthRuntime, desk: Desk) -> None:
    begun = await begin(runtime, desk)
    desk.clock.advance(12 * 3600)
    assert await runtime.sessions.find(begun.token) is None


async def test_the_csrf_token_is_bound_to_the_session(runtime: AuthRuntime, desk: Desk) -> None:
    one = await begin(runtime, desk)
    other = await runtime.sessions.begin(LoginRequest("anna", PASSWORD))
    assert one.csrf != other.csrf
    assert one.token not in one.csrf
