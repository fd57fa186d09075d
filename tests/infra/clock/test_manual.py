import pytest

from signalbox.infra.clock.manual import ManualClock


def test_it_stands_still() -> None:
    clock = ManualClock(5)
    assert [clock.now(), clock.now(), clock.monotonic(), clock.monotonic()] == [5, 5, 0.0, 0.0]


@pytest.mark.parametrize(
    ("seconds", "micros"), [(1, 1_000_000), (0.5, 500_000), (0.000001, 1), (86_400, 86_400_000_000)]
)
def test_both_readings_move_together(seconds: float, micros: int) -> None:
    clock = ManualClock(1_000)
    clock.advance(seconds)
    assert clock.now() == 1_000 + micros
    assert clock.monotonic() == seconds


def test_many_small_steps_add_up_exactly() -> None:
    clock = ManualClock(0)
    for _ in range(1_000):
        clock.advance(0.001)
    assert clock.now() == 1_000_000
    assert clock.monotonic() == pytest.approx(1.0)
