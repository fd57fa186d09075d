from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.gateway.recorder import Recorder
from signalbox.gateway.schemas import Call
from signalbox.gateway.sums import Key, Sums
from signalbox.gateway.vitals import INTERVAL, Vitals
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context


class World:
    """A real recorder, its calls, and the figures read from it."""

    def __init__(self, context: Context, clock: ManualClock) -> None:
        self.clock = clock
        self.recorder = Recorder(context, enabled=True)
        self.vitals = Vitals(self.current, now=clock.monotonic())

    def current(self) -> dict[Key, Sums]:
        self.recorder._sum_up()
        return self.recorder._now

    def call(self, upstream: str = "shop", status: int = 200, micros: int = 1_000, route: str = "/a") -> None:
        now = self.clock.now()
        self.recorder.record(
            Call(now - micros, "/a", route, upstream, "GET", status, micros, 0, 0, "1.1.1.1", None, "r")
        )

    def wait(self, seconds: float) -> None:
        """Let time pass, with a sample every ten seconds."""
        while seconds > 0:
            step = min(seconds, INTERVAL - self.clock.monotonic() % INTERVAL)
            self.clock.advance(step)
            seconds -= step
            if self.clock.monotonic() % INTERVAL == 0:
                self.vitals.sample(self.clock.monotonic())


@pytest.fixture
def world(context: Context, clock: ManualClock) -> World:
    return World(context, clock)


async def test_without_calls_there_are_no_figures(world: World) -> None:
    assert world.vitals.figures(world.clock.monotonic()) == {}


async def test_figures_of_each_upstream(world: World) -> None:
    world.clock.advance(5)
    for number in range(100):
        world.call(status=503 if number < 10 else 404 if number < 30 else 200, micros=(number + 1) * 1_000)
    world.call("other", route="/b")
    figures = world.vitals.figures(world.clock.monotonic())
    assert set(figures) == {"shop", "other"}
    shop = figures["shop"]
    assert (shop.calls, shop.failed, shop.seconds) == (100, 10, 5)
    assert (shop.rate, shop.error_rate) == (20, 0.1)
    assert shop.p50 == pytest.approx(50_000, rel=0.1)
    assert shop.p95 == pytest.approx(95_000, rel=0.1)
    assert shop.p99 == pytest.approx(99_000, rel=0.1)
    assert figures["other"].error_rate == 0


async def test_at_the_very_start_no_time_has_passed(world: World) -> None:
    world.call()
    assert world.vitals.figures(world.clock.monotonic())["shop"].rate == 0


async def test_a_steady_rate_is_told_across_minutes(world: World) -> None:
    for second in range(1, 200):
        for _ in range(3):
            world.call()
        world.wait(1)
        shop = world.vitals.figures(world.clock.monotonic())["shop"]
        assert shop.rate == pytest.approx(3)
        assert shop.seconds == min(second, 50 + second % 10)


async def test_what_is_over_a_minute_ago_is_forgotten(world: World) -> None:
    world.call(status=500)
    world.wait(45)
    assert world.vitals.figures(world.clock.monotonic())["shop"].failed == 1
    world.call()
    world.wait(15)
    assert world.vitals.figures(world.clock.monotonic())["shop"].failed == 0
    world.wait(60)
    assert world.vitals.figures(world.clock.monotonic()) == {}


async def test_calls_from_before_are_not_counted(world: World) -> None:
    world.call()
    vitals = Vitals(world.current, now=world.clock.monotonic())
    assert vitals.figures(world.clock.monotonic() + 1) == {}
    world.call()
    assert vitals.figures(world.clock.monotonic() + 1)["shop"].calls == 1


async def test_asking_changes_nothing(world: World) -> None:
    world.clock.advance(5)
    world.call()
    first = world.vitals.figures(world.clock.monotonic())
    assert world.vitals.figures(world.clock.monotonic()) == first


@given(st.lists(st.sampled_from(["call", "fail", "sample", "minute"]), max_size=60))
def test_nothing_is_lost_or_counted_twice(steps: Sequence[str]) -> None:
    minute: dict[Key, Sums] = {}
    vitals = Vitals(lambda: minute, now=0.0)
    samples: list[list[int]] = [[0, 0]]
    minutes_since_sample = 0
    for what in steps:
        if what == "minute" and minutes_since_sample == 0:  # a second one would be missed, as documented
            minute = {}
            minutes_since_sample = 1
        elif what == "sample":
            vitals.sample(1.0)
            samples.append([0, 0])
            minutes_since_sample = 0
        elif what in {"call", "fail"}:
            failed = what == "fail"
            sums = minute.setdefault(("shop", "/a", "GET", 500 if failed else 200), Sums())
            sums.count += 1
            sums.latency.add(5)
            samples[-1][0] += 1
            samples[-1][1] += failed
    told = vitals.figures(2.0).get("shop")
    calls, failures = (sum(each[place] for each in samples[-6:]) for place in (0, 1))
    assert (calls, failures) == ((told.calls, told.failed) if told else (0, 0))
