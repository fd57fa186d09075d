import asyncio

import pytest

from signalbox.console.kept import MOST, Kept
from signalbox.infra.clock.manual import ManualClock


class Look:
    def __init__(self) -> None:
        self.times = 0
        self.fails = False

    async def __call__(self) -> int:
        self.times += 1
        await asyncio.sleep(0)
        if self.fails:
            msg = "away"
            raise OSError(msg)
        return self.times


async def test_many_who_ask_at_once_are_answered_by_one_look(clock: ManualClock) -> None:
    kept, look = Kept(clock), Look()
    assert await asyncio.gather(*(kept.get("a", look, seconds=3) for _ in range(50))) == [1] * 50


async def test_an_answer_grows_old(clock: ManualClock) -> None:
    kept, look = Kept(clock), Look()
    assert await kept.get("a", look, seconds=3) == 1
    clock.advance(2.9)
    assert await kept.get("a", look, seconds=3) == 1
    clock.advance(0.2)
    assert await kept.get("a", look, seconds=3) == 2


async def test_answers_to_other_questions_are_others(clock: ManualClock) -> None:
    kept, look = Kept(clock), Look()
    assert [await kept.get(key, look, seconds=3) for key in ("a", ("a", 1), "a")] == [1, 2, 1]


async def test_a_failure_is_kept_for_nobody(clock: ManualClock) -> None:
    kept, look = Kept(clock), Look()
    look.fails = True
    with pytest.raises(OSError, match="away"):
        await kept.get("a", look, seconds=3)
    look.fails = False
    assert await kept.get("a", look, seconds=3) == 2


async def test_memory_is_bounded(clock: ManualClock) -> None:
    kept, look = Kept(clock), Look()
    for key in range(MOST + 1):
        await kept.get(key, look, seconds=60)
    assert await kept.get(MOST, look, seconds=60) == MOST + 1
    assert await kept.get(0, look, seconds=60) == MOST + 2
