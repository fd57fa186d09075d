import asyncio

import pytest

from signalbox.infra.broadcast.local import CAPACITY, Listeners, check


async def test_messages_posted_in_threads_arrive_in_the_loop_in_their_order() -> None:
    listeners, heard = Listeners(), list[str | None]()
    listeners.open()
    listeners.add("news", heard.append)
    for number in range(100):
        await asyncio.to_thread(listeners.post, "news", (str(number),))
    await asyncio.sleep(0)
    assert heard == [str(number) for number in range(100)]


async def test_too_many_at_once_are_told_as_missed() -> None:
    listeners, heard, other = Listeners(), list[str | None](), list[str | None]()
    listeners.open()
    listeners.add("news", heard.append)
    listeners.add("weather", other.append)
    listeners.post("news", tuple(map(str, range(CAPACITY + 1))))
    await asyncio.sleep(0)
    assert (heard, other) == ([None], [None])
    listeners.post("news", ("again",))
    await asyncio.sleep(0)
    assert heard == [None, "again"]


async def test_while_the_loop_is_busy_messages_do_not_pile_up() -> None:
    listeners = Listeners()
    listeners.open()
    for _ in range(50):
        listeners.post("news", tuple(map(str, range(1_000))))
        assert len(listeners._posted) <= CAPACITY


async def test_threads_that_post_all_the_time_are_all_heard() -> None:
    listeners, heard = Listeners(), list[str | None]()
    listeners.open()
    listeners.add("news", heard.append)

    def post(name: str) -> None:
        for number in range(500):
            listeners.post("news", (f"{name}-{number}",))

    await asyncio.gather(*(asyncio.to_thread(post, str(name)) for name in range(4)))
    await asyncio.sleep(0)
    assert len(heard) == 2_000
    assert [each for each in heard if each and each.startswith("2-")] == [f"2-{number}" for number in range(500)]


async def test_channels_without_listeners_take_no_memory() -> None:
    listeners = Listeners()
    for number in range(100):
        listeners.add(f"channel-{number}", print)()
    assert listeners._by_channel == {}


async def test_removing_one_leaves_those_who_came_later() -> None:
    listeners, heard = Listeners(), list[str | None]()
    stop = listeners.add("news", print)
    stop()
    listeners.add("news", heard.append)
    stop()
    listeners.deliver("news", "a")
    assert heard == ["a"]


async def test_a_loop_that_has_ended_harms_nobody() -> None:
    listeners = Listeners()

    async def open_elsewhere() -> None:
        listeners.open()

    await asyncio.to_thread(asyncio.run, open_elsewhere())
    listeners.post("news", ("a",))


def test_messages_are_checked() -> None:
    assert check("a") == "a"
    with pytest.raises(ValueError, match="no NUL"):
        check("\0")
    with pytest.raises(ValueError, match="at most 4000 bytes, this one 4001"):
        check("x" * 4_001)
