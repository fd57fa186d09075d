"""Belonging by order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from signalbox.conversations.linking import (
    CONVERSATION,
    MONOLOGUE,
    NONE,
    find_repeats,
    link_runs,
    name_blocks,
    number_blocks,
    number_runs,
)

C, M = CONVERSATION, MONOLOGUE
LENGTHS = st.lists(st.integers(1, 5), min_size=1, max_size=20)


def flags(*values: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array(values, dtype=np.bool_)


@given(LENGTHS)
def test_the_kth_run_belongs_to_the_kth_transcript(lengths: list[int]) -> None:
    sequences = np.array([float(at) for length in lengths for at in range(1, length + 1)])
    runs = number_runs(sequences, np.zeros(len(sequences), dtype=np.bool_))
    linked, count = link_runs(runs, np.arange(100, 100 + len(lengths)))
    assert count == len(lengths)
    assert linked.tolist() == [100 + number for number, length in enumerate(lengths) for _ in range(length)]


@given(LENGTHS, st.integers(0, 30))
def test_nothing_is_guessed_where_counts_differ(lengths: list[int], slots: int) -> None:
    sequences = np.array([float(at) for length in lengths for at in range(1, length + 1)])
    linked, count = link_runs(number_runs(sequences, np.zeros(len(sequences), dtype=np.bool_)), np.arange(slots))
    assert (set(linked.tolist()) == {NONE}) == (count != slots)


def test_rows_before_the_first_run_belong_to_nothing() -> None:
    runs = number_runs(np.array([2.0, np.nan, 1.0, 2.0]), flags(0, 0, 0, 0))
    assert link_runs(runs, np.array([9]))[0].tolist() == [NONE, NONE, 9, 9]


def test_a_run_of_a_rejected_transcript_belongs_to_nothing() -> None:
    assert link_runs(np.array([0, 1]), np.array([NONE, 4]))[0].tolist() == [NONE, 4]


def test_a_second_tag_of_the_same_row_begins_no_run() -> None:
    repeats, again = find_repeats(np.array([1, 1, 2, 1]), flags(1, 1, 1, 1))
    assert (repeats.tolist(), again.tolist()) == ([False, True, False, False], [False, False, False, True])
    assert number_runs(np.array([1.0, 1.0, 2.0, 1.0]), repeats).tolist() == [0, 0, 0, 1]


def test_ids_that_stand_elsewhere_already_are_found_with_their_repeats() -> None:
    assert find_repeats(np.array([5, 6, 5, 5]), flags(1, 1, 1, 1))[1].tolist() == [False, False, True, True]
    assert find_repeats(np.array([0, 0]), flags(0, 0))[0].tolist() == [False, False], "unknown ids are not equal"


def test_a_block_begins_at_the_first_conversation_after_a_monologue() -> None:
    assert number_blocks(np.array([C, C, M, M, C, M, C])).tolist() == [0, 0, 0, 0, 1, 1, 2]


def owners(types: list[int], titles: list[str | None], names: list[str]) -> list[int]:
    codes = np.array(types)
    found: list[int] = name_blocks(number_blocks(codes), codes, titles, names)[0].tolist()
    return found


def test_a_block_belongs_to_whose_name_begins_its_titles() -> None:
    names = ["Apple", "Yahoo!", "C++"]
    assert owners([C, M, C, M, C, M], ["x", "APPLE grows", "x", "Yahoo! wins", "x", "C++"], names) == [0, 1, 2]
    assert owners([M], ["Applebee's grows"], names) == [NONE], "a name ends where a word ends"


def test_the_longest_name_that_begins_all_titles_counts() -> None:
    names = ["Micro", "Micro Focus"]
    assert owners([M, M], ["Micro Focus: a", "Micro Focus: b"], names) == [1]
    assert owners([M, M], ["Micro Focus: a", "Micro b"], names) == [0]


def test_what_is_not_sure_is_told() -> None:
    types = np.array([C, M, M, C, M, C])
    titles = ["", "A one", "B two", "", "A three", ""]
    found, reasons = name_blocks(number_blocks(types), types, titles, ["A", "B", "a"])
    assert found.tolist() == [NONE, NONE, NONE]
    assert [reasons[block].split()[0] for block in range(3)] == ["the", "several", "the"]
