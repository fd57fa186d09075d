import re

import pytest

from signalbox.console import plots


@pytest.mark.parametrize(("level", "lit"), [(None, 0), (1, 1), (5, 5)])
def test_a_gauge_is_lit_up_to_its_level(level: int | None, lit: int) -> None:
    arcs = plots.gauge(level)
    assert [arc.lit for arc in arcs] == [True] * lit + [False] * (5 - lit)


@pytest.mark.parametrize(
    ("scale", "level", "pieces", "lit", "tint"),
    [
        ((0, 2), 0, 3, 1, 1),
        ((0, 2), 2, 3, 3, 5),
        ((1, 10), 5, 10, 5, 3),
        ((1, 100), 1, 12, 1, 1),
        ((1, 100), 100, 12, 12, 5),
    ],
)
def test_a_gauge_has_the_scale_of_the_settings(
    scale: tuple[int, int], level: int, pieces: int, lit: int, tint: int
) -> None:
    lowest, highest = scale
    arcs = plots.gauge(level, lowest=lowest, highest=highest)
    assert (len(arcs), sum(arc.lit for arc in arcs)) == (pieces, lit)
    assert plots.tint(level, lowest=lowest, highest=highest) == tint


def test_a_level_beyond_its_scale_has_the_last_colour() -> None:
    assert [plots.tint(level) for level in (-3, 0, 6, 99)] == [1, 1, 5, 5]
    assert plots.tint(3, lowest=3, highest=3) == 1


def test_the_pieces_of_a_gauge_go_from_left_to_right_over_the_top() -> None:
    ends = [[float(each) for each in re.findall(r"-?[0-9.]+", arc.path)] for arc in plots.gauge(3)]
    xs = [x for each in ends for x in (each[0], each[-2])]
    assert xs == sorted(xs)
    assert all(each[1] <= 100 and each[-1] <= 100 for each in ends)


def test_the_longest_bar_takes_all_the_width() -> None:
    assert [bar.width for bar in plots.bars([("a", 5), ("b", 10), ("c", 0)])] == [50, 100, 0]
    assert plots.bars([]) == []
    assert [bar.width for bar in plots.bars([("a", 0)])] == [0]


def test_the_parts_of_a_stack_follow_each_other() -> None:
    pieces = plots.stack([("ok", 3), ("none", 0), ("bad", 1)])
    assert [(each.name, each.start, each.width) for each in pieces] == [("ok", 0, 75), ("bad", 75, 25)]
    assert plots.stack([("ok", 0)]) == []


@pytest.mark.parametrize(("value", "heat"), [(0, 0), (1, 1), (10, 1), (400, 4), (1_000, 5), (2_000, 5)])
def test_heat_is_seen_over_orders_of_magnitude(value: float, heat: int) -> None:
    assert plots.heat(value, 1_000) == heat
    assert plots.heat(value, 0) == 0


def test_a_part_is_never_more_than_the_whole() -> None:
    assert [plots.ratio(part, 10) for part in (-1, 5, 20)] == [0, 50, 100]
    assert plots.ratio(1, 0) == 0
