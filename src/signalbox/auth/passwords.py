"""Passwords: argon2id, in threads of their own, a few at a time."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from signalbox.auth.errors import WeakPasswordError
from signalbox.auth.models import HashedPassword
from signalbox.core.errors import UnavailableError

P = ParamSpec("P")
R = TypeVar("R")

SHORTEST: Final = 8
LONGEST: Final = 1024
AT_ONCE: Final = 2
MAX_WAITING: Final = 100


@dataclass(frozen=True, slots=True)
class Cost:
    """What hashing costs; the defaults are the second recommended option of RFC 9106: 64 MiB, three passes."""

    time_cost: int = 3
    memory_kib: int = 65_536
    parallelism: int = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password is right; ``rehashed`` is its new hash where the stored one was made at another cost."""

    right: bool
    rehashed: HashedPassword | None = None


class PasswordsBusyError(UnavailableError):
    """More passwords wait to be checked than may."""

    code = "passwords_busy"


class Passwords:
    """Hashes and verifies; each call takes tens of milliseconds of a thread and ``memory_kib``."""

    def __init__(self, *, cost: Cost | None = None) -> None:
        cost = cost or Cost()
        argon2 = Argon2Hasher(cost.time_cost, cost.memory_kib, cost.parallelism)
        self._hashing = PasswordHash((argon2,))
        self._decoy = _decoy(cost)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="signalbox-password")
        self._waiting = 0

    async def hash(self, password: str) -> HashedPassword:
        """The hash to store for a new password.

        Raises:
            WeakPasswordError: it is shorter than 8 characters or longer than 1024.
            PasswordsBusyError: too many wait already.
        """
        check_strength(password)
        return HashedPassword(await self._run(self._hashing.hash, _encode(password)))

    async def verify(self, password: str, *, hashed: HashedPassword | None) -> Verdict:
        """Compare a password with a stored hash; without one (no such user) it costs the same and is wrong.

        Raises:
            PasswordsBusyError: too many wait already.
        """
        encoded = _encode(password[: LONGEST + 1])
        right, update = await self._run(self._hashing.verify_and_update, encoded, hashed or self._decoy)
        if hashed is None or not right:
            return Verdict(right=False)
        return Verdict(right=True, rehashed=None if update is None else HashedPassword(update))

    def close(self) -> None:
        """Drop what waits and let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._waiting >= MAX_WAITING:
            msg = f"{MAX_WAITING} passwords wait to be checked"
            raise PasswordsBusyError(msg)
        self._waiting += 1
        try:
            return await asyncio.wrap_future(self._threads.submit(fn, *args, **kwargs))
        finally:
            self._waiting -= 1


def check_strength(password: str) -> None:
    """Refuse a password that is too easily guessed.

    Raises:
        WeakPasswordError: it is shorter than 8 characters or longer than 1024.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        msg = f"a password has {SHORTEST} to {LONGEST} characters, this one has {len(password)}"
        raise WeakPasswordError(msg)


def new_password() -> str:
    """A random password of 24 characters."""
    return secrets.token_urlsafe(18)


def _encode(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")  # text from a terminal may hold bytes that are not UTF-8


def _decoy(cost: Cost) -> HashedPassword:
    """A hash that no password has."""
    salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    header = f"$argon2id$v=19$m={cost.memory_kib},t={cost.time_cost},p={cost.parallelism}"
    return HashedPassword(f"{header}${salt}${digest}")
