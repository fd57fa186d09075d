"""What answers of polls change: pure comparison."""

from hypothesis import given
from hypothesis import strategies as st

from signalbox.tasks.compare import Watched, compare, merge, sort_out
from signalbox.tasks.providers import Sighting
from signalbox.tasks.schemas import STATUSES, TERMINAL

TASK = Watched(1, "shop", "x1", "In Progress", None, None, 0, 5)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([*STATUSES, "COOKING"]))))
def test_a_terminal_sighting_wins_whatever_stands_around_it(found: list[tuple[str, str]]) -> None:
    merged = merge([Sighting(key, status, None) for key, status in found])
    assert merged.keys() == {key for key, _ in found}
    for key, sighting in merged.items():
        statuses = [status for each, status in found if each == key]
        terminal = [status for status in statuses if status in TERMINAL]
        assert sighting.status == (terminal[0] if terminal else statuses[-1])


def test_news_are_a_difference_and_the_same_is_none() -> None:
    assert compare(TASK, Sighting("x1", "In Progress", None), missing_after=3) is None
    found = compare(TASK, Sighting("x1", "Error", "Invalid\0IP"), missing_after=3)
    assert found is not None
    assert (found.status, found.phase, found.error) == ("Error", "done", "Invalid\ufffdIP")
    found = compare(TASK, Sighting("x1", "Error", None), missing_after=3)
    assert found is not None
    assert found.error == "failed at the provider"


def test_a_message_beside_a_status_that_is_no_error_is_none() -> None:
    found = compare(TASK, Sighting("x1", "Completed", "all went well"), missing_after=3)
    assert found is not None
    assert found.error is None


def test_misses_are_counted_up_to_the_flag_and_no_further() -> None:
    task = TASK
    for missed in (1, 2, 3):
        found = compare(task, None, missing_after=3)
        assert found is not None
        assert (found.missed, found.flag) == (missed, "missing" if missed == 3 else None)
        assert found.is_visible == (missed == 3)
        task = task._replace(missed=found.missed, flag=found.flag)
    assert compare(task, None, missing_after=3) is None
    back = compare(task, Sighting("x1", "In Progress", None), missing_after=3)
    assert back is not None
    assert (back.missed, back.flag) == (0, None)


def sorted_out(task: Watched, seen: Sighting | None, *, began: int = 9) -> tuple[object, object]:
    found = sort_out([task], {} if seen is None else {seen.key: seen}, missing_after=3, began=began)
    assert found.met == (set() if seen is None else {seen.key})
    return found.moves, found.differences


def test_from_one_status_to_another_is_a_plain_move_unless_it_says_more() -> None:
    done = Sighting("x1", "Completed", "all went well")
    assert sorted_out(TASK, done) == ({("In Progress", "Completed"): [1]}, [])
    assert sorted_out(TASK, Sighting("x1", "In Progress", None)) == ({}, [])
    failed, word = Sighting("x1", "Error", None), Sighting("x1", "COOKING", None)
    odd = [TASK._replace(flag="missing"), TASK._replace(missed=1), TASK._replace(raw_status="COOKING")]
    for task, seen in [(TASK, failed), (TASK, word), *((each, done) for each in odd)]:
        assert sorted_out(task, seen) == ({}, [compare(task, seen, missing_after=3)])


def test_what_came_under_way_after_the_poll_began_is_not_missed() -> None:
    assert sorted_out(TASK, None) == ({}, [compare(TASK, None, missing_after=3)])
    assert sorted_out(TASK, None, began=TASK.since) == ({}, [])
