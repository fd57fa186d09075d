"""Signing in with a name and a password."""

import ipaddress
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from signalbox.auth import service
from signalbox.auth.attempts import Attempts
from signalbox.auth.errors import WrongCredentialsError
from signalbox.auth.models import User
from signalbox.auth.passwords import Passwords, Verdict
from signalbox.auth.settings import LoginAttempts
from signalbox.auth.users import name_key
from signalbox.core.times import MICROSECONDS
from signalbox.infra.clock import Clock
from signalbox.infra.db import Database

_IPV6_SITE: Final = 64
"""One customer usually owns a whole /64, so its addresses count as one."""


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """Who wants in, from where, and which scopes are asked for (none: all of the role)."""

    name: str
    password: str
    scopes: Sequence[str] = ()
    address: str = ""
    request_id: str | None = None


class SignIn:
    """Checks passwords; limits how many may be wrong; keeps the audit trail."""

    def __init__(self, db: Database, *, clock: Clock, passwords: Passwords) -> None:
        self._db, self._clock, self._passwords = db, clock, passwords
        self._attempts = Attempts()

    async def check(self, request: LoginRequest, *, limits: LoginAttempts) -> tuple[User, frozenset[str]]:
        """The user who signed in, and the scopes granted.

        Raises:
            TooManyAttemptsError: too many attempts failed; nothing was looked at.
            WrongCredentialsError: unknown user, wrong password or disabled user.
            UnknownScopeError: a scope asked for does not exist.
            MissingScopeError: the user's role does not grant a scope asked for.
            PasswordsBusyError: too many passwords wait to be checked.
        """
        user, verdict = await self._verify(request, limits=limits)
        if user is None or not verdict.right or user.disabled_at is not None:
            await self._refused(request, user)
            msg = "the user or the password is wrong"
            raise WrongCredentialsError(msg)
        scopes = service.allowed_scopes(user, asked=request.scopes)
        await self._db.write(
            service.signed_in,
            user=user,
            rehashed=verdict.rehashed,
            scopes=scopes,
            address=request.address,
            at=self._clock.now(),
            request_id=request.request_id,
        )
        return user, scopes

    async def _verify(self, request: LoginRequest, *, limits: LoginAttempts) -> tuple[User | None, Verdict]:
        key = name_key(request.name)
        with self._counted(_limits(key, request.address, limits)) as outcome:
            _, user = await self._db.read(service.find_account, key=key)
            hashed = None if user is None else user.password_hash
            verdict = await self._passwords.verify(request.password, hashed=hashed)
            outcome.failed = not verdict.right or user is None or user.disabled_at is not None
        return user, verdict

    @contextmanager
    def _counted(self, limits: dict[Hashable, int]) -> Iterator["_Outcome"]:
        self._attempts.begin(limits, now=self._now())
        outcome = _Outcome()
        try:
            yield outcome
        finally:
            self._attempts.end(limits, now=self._now(), failed=outcome.failed)

    async def _refused(self, request: LoginRequest, user: User | None) -> None:
        address, request_id = request.address, request.request_id
        at = self._clock.now()
        await self._db.write(service.sign_in_failed, user=user, address=address, at=at, request_id=request_id)

    def _now(self) -> int:
        return round(self._clock.monotonic() * MICROSECONDS)


@dataclass(slots=True)
class _Outcome:
    failed: bool = False


def _limits(key: str | None, address: str, limits: LoginAttempts) -> dict[Hashable, int]:
    site = site_of(address)
    return {(key, site): limits.per_user, site: limits.per_address}


def site_of(address: str) -> str:
    """What counts as one address: an IPv4 address, the /64 of an IPv6 address, or the text as it is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed.packed, _IPV6_SITE), strict=False))
