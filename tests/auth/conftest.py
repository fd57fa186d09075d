"""A sign-on to test with: cheap password hashes, and people and apps to sign on."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from signalbox.auth import service, users
from signalbox.auth.errors import InvalidTokenError
from signalbox.auth.models import AppToken, User
from signalbox.auth.passwords import Cost, Passwords
from signalbox.auth.principal import Principal
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.scopes import Role
from signalbox.auth.settings import AuthSettings
from signalbox.auth.sign_in import LoginRequest
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context
from tests.support.timing import PATIENCE, until

PASSWORD = "correct horse"
CHEAP = Cost(time_cost=1, memory_kib=8, parallelism=1)


def bearer(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + token.encode())]


@dataclass
class Desk:
    """What an administrator does at the desk, through the services."""

    context: Context
    clock: ManualClock
    passwords: Passwords = field(default_factory=lambda: Passwords(cost=CHEAP))

    @property
    def now(self) -> int:
        return self.clock.now()

    async def add_user(self, name: str = "anna", *, role: Role = "user", password: str = PASSWORD) -> User:
        hashed = await self.passwords.hash(password)
        return await self.context.db.write(
            users.add_user, name=name, password=hashed, role=role, actor="test", at=self.now
        )

    async def create_token(
        self, *scopes: str, app: str | None = "shop", any_app: bool = False, expires_at: int | None = None
    ) -> service.IssuedToken:
        return await self.context.db.write(
            service.create_token,
            app=app,
            any_app=any_app,
            scopes=scopes or ["gateway"],
            expires_at=expires_at,
            actor="test",
            at=self.now,
        )

    async def revoke(self, token: AppToken) -> AppToken:
        return await self.context.db.write(service.revoke_token, which=str(token.id), actor="test", at=self.now)

    async def disable(self, name: str) -> User:
        return await self.context.db.write(users.disable_user, name=name, actor="test", at=self.now)


@pytest.fixture
def desk(context: Context, clock: ManualClock) -> Desk:
    return Desk(context, clock)


def new_runtime(context: Context, settings: AuthSettings | None = None) -> AuthRuntime:
    return AuthRuntime(context, settings or AuthSettings(), passwords=Passwords(cost=CHEAP))


@pytest.fixture
async def runtime(context: Context) -> AsyncIterator[AuthRuntime]:
    opened = new_runtime(context)
    await opened.open()
    yield opened
    await opened.close()


async def sign_in(runtime: AuthRuntime, name: str = "anna", *, password: str = PASSWORD, scopes: str = "") -> str:
    session = await runtime.sign_in(LoginRequest(name, password, scopes.split(), address="192.0.2.1"))
    return session.access_token


async def who(runtime: AuthRuntime, token: str) -> Principal:
    return await runtime.authenticate(bearer(token))


async def signed_on(desk: Desk, runtime: AuthRuntime) -> str:
    """The token of the new user Anna."""
    await desk.add_user("Anna")
    return await sign_in(runtime, "anna")


async def refused(runtime: AuthRuntime, token: str) -> str:
    with pytest.raises(InvalidTokenError) as error:
        await who(runtime, token)
    assert runtime.lookup(token.encode()) is None
    return str(error.value)


async def until_refused(runtime: AuthRuntime, token: str, *, within: float = PATIENCE) -> None:
    await until(lambda: runtime.lookup(token.encode()) is None, within=within)
    await refused(runtime, token)
