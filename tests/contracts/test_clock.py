"""What every ``Clock`` holds to."""

import pytest

from signalbox.core.times import to_rfc3339
from signalbox.infra.clock import Clock
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.clock.system import SystemClock


@pytest.fixture(params=[SystemClock, ManualClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_now_is_a_whole_number_of_microseconds_in_our_time(clock: Clock) -> None:
    assert isinstance(clock.now(), int)
    assert "2024" < to_rfc3339(clock.now()) < "2100"


def test_monotonic_is_in_seconds_and_never_goes_back(clock: Clock) -> None:
    readings = [clock.monotonic() for _ in range(1_000)]
    assert readings == sorted(readings)
    assert readings[-1] - readings[0] < 10


def test_two_clocks_tell_the_same_present(clock: Clock) -> None:
    other: Clock = type(clock)()
    assert abs(other.now() - clock.now()) < 5_000_000
