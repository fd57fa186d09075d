import json

import pytest

from signalbox.sandbox.provider_book import MESSAGE, Book, FullError, Pace, encode_entries

EVEN = Pace(waiting=1, working=2, spread=0)


def shown(book: Book, now: float) -> list[dict[str, str]]:
    answer: list[dict[str, str]] = json.loads(encode_entries(book.entries(), now))
    return answer


def test_a_task_goes_through_its_statuses() -> None:
    book = Book(EVEN)
    book.add("7", None, 10)
    seen = [shown(book, now)[0]["status"] for now in (10, 10.9, 11, 12.9, 13, 1_000)]
    assert seen == ["Not Started", "Not Started", "In Progress", "In Progress", "Completed", "Completed"]


def test_some_end_in_error_and_say_why() -> None:
    book = Book(Pace(waiting=0, working=0, errors=0.5), seed=3)
    for number in range(200):
        book.add(str(number), None, 0)
    failed = [each for each in shown(book, 1) if each["status"] == "Error"]
    assert 60 < len(failed) < 140
    assert {each["error_message"] for each in failed} == {MESSAGE}


def test_ids_are_text_those_given_or_the_next() -> None:
    book = Book(EVEN)
    assert [book.add(given, None, 0).id for given in (None, "2", None, "x", None)] == ["1", "2", "3", "x", "4"]


def test_a_known_reference_brings_the_first_task_where_that_is_promised() -> None:
    book = Book(EVEN)
    assert book.add("1", "r", 0) is book.add("1", "r", 5)
    assert (book.doubles, book.repeats, len(book)) == ({}, 1, 1)


def test_double_submissions_are_counted_where_it_is_not() -> None:
    book = Book(EVEN, idempotent=False)
    for reference in ("r", "s", "r"):
        book.add(None, reference, 0)
    for _ in range(3):
        book.add("7", None, 0)
    assert book.doubles == {"r": 2, "7": 3}


def test_tasks_are_found_by_id_and_reference_until_they_are_forgotten() -> None:
    book = Book(EVEN)
    entry = book.add("1", "r", 0)
    assert book.find(["0", "1"]) == [entry]
    assert book.find_reference("r") is entry
    book.forget(["1", "unknown"])
    assert (book.find(["1"]), book.find_reference("r"), len(book)) == ([], None, 0)
    assert book.submissions == {"r": 1}


def test_a_status_can_be_set_by_hand_also_of_a_task_that_came_by_another_way() -> None:
    book = Book(EVEN)
    book.add("1", None, 0)
    book.set("1", "Error", "bad")
    book.set("2", "Completed")
    assert shown(book, 0) == [
        {"id": "1", "status": "Error", "error_message": "bad"},
        {"id": "2", "status": "Completed"},
    ]
    assert not book.doubles


def test_memory_is_bounded() -> None:
    book = Book(EVEN, most=2)
    book.add(None, None, 0)
    book.add(None, "r", 0)
    with pytest.raises(FullError):
        book.add(None, None, 0)
    assert book.add(None, "r", 0).id == "2"
