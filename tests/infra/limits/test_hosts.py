from signalbox.infra.db import Database
from signalbox.infra.limits.hosts import HostState, find_host, note_polls, pause_host

SECOND = 1_000_000
START = 1_767_225_600_000_000


async def test_of_several_pauses_the_latest_end_counts(database: Database) -> None:
    assert await database.read(find_host, "a") == HostState()
    for until, expected in ((START, START), (START + 5, START + 5), (START + 1, START + 5)):
        await database.write(pause_host, "a", until=until)
        assert (await database.read(find_host, "a")).paused_until == expected
    assert await database.read(find_host, "b") == HostState()


async def test_how_often_polls_come_is_an_average_of_late(database: Database) -> None:
    state, now = HostState(), START
    for _ in range(20):
        state = await database.write(note_polls, "a", state, count=1, now=now)
        now += 2 * SECOND
    assert await database.read(find_host, "a") == state
    assert 2_000 <= state.poll_gap <= 2_100
    state = await database.write(note_polls, "a", state, count=10, now=now)
    assert state.poll_gap < 1_700
    await database.write(pause_host, "a", until=START)
    assert await database.read(find_host, "a") == state._replace(paused_until=START)


def test_fewer_polls_are_expected_the_longer_none_has_come() -> None:
    assert HostState().polls_within(30 * SECOND, START) == 0
    state = HostState(polls_asked_at=START, poll_gap=10_000)
    assert [state.polls_within(30 * SECOND, START + gap * SECOND) for gap in (0, 19, 21, 31)] == [3, 3, 1, 0]


def test_of_polls_rarer_than_the_window_one_is_expected_when_it_is_due_in_it() -> None:
    state = HostState(polls_asked_at=START, poll_gap=60_000)
    assert [state.polls_within(30 * SECOND, START + gap * SECOND) for gap in (0, 29, 30, 119, 121)] == [0, 0, 1, 1, 0]
    assert state.polls_within(90 * SECOND, START) == 2


async def test_a_clock_that_steps_back_is_no_gap(database: Database) -> None:
    state = HostState(polls_asked_at=START, poll_gap=1)
    assert (await database.write(note_polls, "a", state, count=1, now=START - SECOND)).poll_gap >= 1
