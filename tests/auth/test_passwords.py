import asyncio
import statistics
import threading
import time

import pytest
from pwdlib.hashers.argon2 import Argon2Hasher

from signalbox.auth.errors import WeakPasswordError
from signalbox.auth.models import HashedPassword
from signalbox.auth.passwords import AT_ONCE, MAX_WAITING, Cost, Passwords, PasswordsBusyError, new_password
from tests.auth.conftest import CHEAP


async def test_a_password_is_right_or_wrong() -> None:
    passwords = Passwords(cost=CHEAP)
    hashed = await passwords.hash("correct horse")
    assert hashed.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert (await passwords.verify("correct horse", hashed=hashed)).right
    assert not (await passwords.verify("Correct horse", hashed=hashed)).right
    assert not (await passwords.verify("correct horse", hashed=None)).right


async def test_the_default_cost_is_argon2id_with_64_mib() -> None:
    assert (await Passwords().hash("correct horse")).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


@pytest.mark.parametrize("length", [0, 7, 1025])
async def test_weak_passwords_are_refused(length: int) -> None:
    with pytest.raises(WeakPasswordError, match=f"8 to 1024 characters, this one has {length}"):
        await Passwords(cost=CHEAP).hash("x" * length)


async def test_any_text_can_be_a_password() -> None:
    passwords = Passwords(cost=CHEAP)
    for text in ("пароль-пароль", "nul\0nul\0nul", "\udcff from a terminal", "x" * 1024):
        hashed = await passwords.hash(text)
        assert (await passwords.verify(text, hashed=hashed)).right
        assert not (await passwords.verify(text + "x", hashed=hashed)).right


async def test_a_hash_of_another_cost_is_made_anew() -> None:
    old, new = Passwords(cost=CHEAP), Passwords(cost=Cost(time_cost=2, memory_kib=16, parallelism=1))
    hashed = await old.hash("correct horse")
    assert (await old.verify("correct horse", hashed=hashed)).rehashed is None
    assert (await new.verify("wrong horse", hashed=hashed)).rehashed is None
    rehashed = (await new.verify("correct horse", hashed=hashed)).rehashed
    assert rehashed is not None
    assert rehashed.startswith("$argon2id$v=19$m=16,t=2,p=1$")
    assert (await new.verify("correct horse", hashed=rehashed)).right


async def test_an_unknown_user_costs_as_much_as_a_wrong_password() -> None:
    passwords = Passwords(cost=Cost(time_cost=2, memory_kib=8192, parallelism=1))
    hashed = await passwords.hash("correct horse")

    async def seconds(stored: HashedPassword | None) -> float:
        started = time.perf_counter()
        await passwords.verify("wrong horse", hashed=stored)
        return time.perf_counter() - started

    wrong, unknown = [], []
    for _ in range(15):
        wrong.append(await seconds(hashed))
        unknown.append(await seconds(None))
    assert statistics.median(unknown) == pytest.approx(statistics.median(wrong), rel=0.5)


async def test_few_are_hashed_at_once_and_not_in_the_event_loop() -> None:
    class Watched(Argon2Hasher):
        running = most = 0
        threads: set[int] = set()  # noqa: RUF012 - one test, one list
        lock = threading.Lock()

        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            with self.lock:
                self.running += 1
                Watched.most = max(self.most, self.running)
                self.threads.add(threading.get_ident())
            hashed = super().hash(password, salt=salt)
            with self.lock:
                self.running -= 1
            return hashed

    passwords = Passwords(cost=CHEAP)
    passwords._hashing.current_hasher = Watched(1, 4096, 1)
    await asyncio.gather(*(passwords.hash("correct horse") for _ in range(20)))
    assert 1 <= Watched.most <= AT_ONCE
    assert threading.get_ident() not in Watched.threads


async def test_a_crowd_is_sent_away() -> None:
    passwords = Passwords(cost=CHEAP)
    waiting = [asyncio.ensure_future(passwords.hash("correct horse")) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(PasswordsBusyError):
        await passwords.hash("correct horse")
    await asyncio.gather(*waiting)
    assert await passwords.hash("correct horse")


def test_a_made_up_password_is_strong() -> None:
    assert len({new_password() for _ in range(100)}) == 100
    assert len(new_password()) == 24
