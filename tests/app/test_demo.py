"""What the demo shows; that it runs is for tests/e2e."""

import asyncio

import pytest

from signalbox.app.demo import WINDOW, Board, welcome
from signalbox.infra.clock.manual import ManualClock
from signalbox.sandbox.world import opened_world


def shown(board: Board) -> str:
    return board.line().plain


def test_without_calls_it_waits() -> None:
    assert "waiting for traffic" in shown(Board(ManualClock()))


def test_calls_of_the_last_seconds_are_summed_up() -> None:
    clock = ManualClock()
    board = Board(clock)
    clock.advance(5)
    for number in range(100):
        board.add(500 if number < 5 else 200, (number + 1) / 1000)
    line = shown(board)
    assert "20.0 calls/s" in line
    assert "p50   51 ms" in line
    assert "p95   96 ms" in line
    assert "5.0 % failed" in line


@pytest.mark.parametrize(("status", "failed"), [(200, "0.0"), (404, "0.0"), (499, "0.0"), (500, "100.0"), (0, "100.0")])
def test_what_counts_as_failed(status: int, failed: str) -> None:
    board = Board(ManualClock())
    board.add(status, 0.01)
    assert f" {failed} % failed" in shown(board)


def test_older_calls_are_forgotten() -> None:
    clock = ManualClock()
    board = Board(clock)
    board.add(500, 1.0)
    clock.advance(WINDOW + 1)
    board.add(200, 0.002)
    assert "0.0 % failed" in shown(board)
    clock.advance(WINDOW + 1)
    assert "waiting for traffic" in shown(board)


@pytest.mark.parametrize(("failures", "colour"), [(0, "green"), (4, "green"), (5, "yellow"), (100, "yellow")])
def test_the_light_is_green_while_few_fail(failures: int, colour: str) -> None:
    board = Board(ManualClock())
    for number in range(100):
        board.add(500 if number < failures else 200, 0.01)
    assert board.line().style == colour


def test_addresses_and_commands_stand_on_one_line_each() -> None:
    async def written() -> str:
        async with opened_world() as world:
            return welcome("http://127.0.0.1:8000", world)

    lines = asyncio.run(written()).splitlines()
    assert all(line[:29].strip() and line[28] == " " for line in lines)
    assert [line.count("http://") for line in lines] == [0, *[1] * (len(lines) - 1)]
