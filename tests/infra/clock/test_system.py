import time

from signalbox.infra.clock.system import SystemClock


def test_now_is_that_of_the_machine() -> None:
    before = time.time_ns() // 1_000
    now = SystemClock().now()
    assert before <= now <= time.time_ns() // 1_000


def test_monotonic_is_that_of_the_machine() -> None:
    before = time.monotonic()
    assert before <= SystemClock().monotonic() <= time.monotonic()
