import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.tasks.providers import PollFailedError, Receipt, Sighting, Sightings
from signalbox.tasks.providers.answers import AnswerReader, Shape
from signalbox.tasks.providers.statuses import StatusWords


def reader(**places: Any) -> AnswerReader:
    return AnswerReader(Shape(**places), StatusWords({"done": "Completed"}))


def read(answer: Any, **places: Any) -> Sightings:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return asyncio.run(reader(**places).sightings(body))


def test_the_usual_answer_is_read() -> None:
    found, bad = read(
        b'[{"id":"1","status":"In Progress"},{"id":"2","status":"Completed"},'
        b'{"id":"3","status":"Error","error_message":"Invalid IP range: 192.168.1.256"}]'
    )
    assert (found, bad) == (
        [
            Sighting("1", "In Progress", None),
            Sighting("2", "Completed", None),
            Sighting("3", "Error", "Invalid IP range: 192.168.1.256"),
        ],
        0,
    )


BAD: list[Any] = [
    None, 7, "task", True, [], {}, {"id": "1"}, {"status": "Error"}, {"id": None, "status": "Error"},
    {"id": True, "status": "Error"}, {"id": 1.5, "status": "Error"}, {"id": "", "status": "Error"},
    {"id": "x" * 501, "status": "Error"}, {"id": "1", "status": None}, {"id": "1", "status": {}}, {"id": "1", "status": ""},
]  # fmt: skip


@pytest.mark.parametrize("places", [{}, {"id": "/id"}, {"status": "status", "message": "why.0"}], ids=str)
@pytest.mark.parametrize("element", BAD, ids=lambda each: json.dumps(each)[:60])
def test_a_bad_element_is_counted_and_spoils_no_other(element: Any, places: dict[str, str]) -> None:
    good = {"id": 5, "status": "done"}
    assert read([good, element, good], **places) == ([Sighting("5", "Completed", None)] * 2, 1)


def test_text_that_is_no_unicode_spoils_only_its_element() -> None:
    assert read(b'[{"id":"1","status":"done"},{"id":"\xff","status":"done"}]') == (
        [Sighting("1", "Completed", None)],
        1,
    )


@pytest.mark.parametrize(
    ("escaped", "message"),
    [
        (r"cut \ud83d", "cut \ufffd"),
        (r"cut \uDE00!", "cut \ufffd!"),
        (r"\ud83d\ude00 \ud83d", "\U0001f600 \ufffd"),
        (r"\\ud83d \udc00", "\\ud83d \ufffd"),
    ],
)
def test_a_message_that_was_cut_through_an_emoji_spoils_nothing(escaped: str, message: str) -> None:
    body = f'[{{"id":"1","status":"Error","error_message":"{escaped}"}},{{"id":"2","status":"done"}}]'
    assert read(body.encode()) == ([Sighting("1", "Error", message), Sighting("2", "Completed", None)], 0)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"   ", b"null", b"{}", b'{"tasks":[]}', b'"[]"', b"7", b"[", b'[{"id":"1","status":"Completed"}',
        b'[{"id":"1","status":"Completed"},]', b'[{"id":"1","sta', b"[] []", b"<html></html>", b"\xff", b"[" * 100_000,
    ],
    ids=lambda body: body[:60].decode("latin-1"),
)  # fmt: skip
def test_anything_but_a_whole_array_is_refused(body: bytes) -> None:
    with pytest.raises(PollFailedError, match="not a JSON array"):
        read(body)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"data":{}}', b'{"data":null}', b'{"data":[', b""])
def test_anything_but_an_array_in_its_place_is_refused(body: bytes) -> None:
    with pytest.raises(PollFailedError, match="not a JSON array"):
        read(body, items="data")


def test_an_empty_array_is_an_answer() -> None:
    assert read([]) == ([], 0)


def test_duplicates_stay_in_their_order() -> None:
    answer = [{"id": "1", "status": "Completed"}, {"id": "1", "status": "In Progress"}]
    assert [each.status for each in read(answer).found] == ["Completed", "In Progress"]


def test_things_are_found_at_their_places() -> None:
    answer = {"data": {"jobs": [{"job": {"no": 7}, "state": "done", "log": ["odd", "bad"]}, {"job": {}}]}}
    places = {"items": "data.jobs", "id": "job.no", "status": "state", "message": "/log/1"}
    assert read(answer, **places) == ([Sighting("7", "Completed", "bad")], 1)


def test_one_field_may_serve_twice() -> None:
    assert read([{"id": "1", "status": "bad"}], message="status").found == [Sighting("1", "bad", "bad")]


FIELDS = st.sampled_from(["id", "status", "error_message"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(FIELDS, inner),
)


@given(st.lists(JSON))
def test_every_element_is_found_or_bad_in_the_quick_way_as_in_the_general(answer: list[Any]) -> None:
    quick, general = read(answer), read(answer, message="why.0")
    assert len(quick.found) + quick.bad == len(answer)
    assert [each[:2] for each in quick.found] == [each[:2] for each in general.found]
    assert quick.bad == general.bad


def test_a_task_by_itself_is_read() -> None:
    assert reader().sighting(b'{"id":"1","status":"done"}') == ([Sighting("1", "Completed", None)], 0)
    assert reader().sighting(b"[]") == ([], 1)
    with pytest.raises(PollFailedError, match="not JSON"):
        reader().sighting(b'{"id":"1"')


@pytest.mark.parametrize(
    ("body", "places", "receipt"),
    [
        (b"", {}, Receipt(None, None)),
        (b'{"id":"a","status":"done"}', {}, Receipt("a", "Completed")),
        (b'{"id":7}', {}, Receipt("7", None)),
        (b'{"id":null}', {}, Receipt(None, None)),
        (b'"a"', {"submit_id": ""}, Receipt("a", None)),
        (b'{"data":{"no":7,"s":"odd"}}', {"submit_id": "data.no", "submit_status": "data.s"}, Receipt("7", "odd")),
        (b"[1,2]", {}, Receipt(None, None)),
    ],
)
def test_a_receipt_is_read(body: bytes, places: dict[str, str], receipt: Receipt) -> None:
    assert reader(**places).receipt(body) == receipt


def test_a_receipt_that_is_no_json_is_refused() -> None:
    with pytest.raises(PollFailedError, match="not JSON; it has 9 bytes: <html> hi"):
        reader().receipt(b"<html> hi")


ONE, TWO = {"id": "a", "ref": "r"}, {"id": "b", "ref": "s"}


@pytest.mark.parametrize(
    ("answer", "places", "found"),
    [
        (None, {}, None),
        ([], {}, None),
        (ONE, {}, Receipt("a", None)),
        ([ONE], {}, Receipt("a", None)),
        ({"data": [ONE]}, {"lookup": "data"}, Receipt("a", None)),
        ([TWO, ONE], {"reference": "ref"}, Receipt("a", None)),
        ([TWO], {"reference": "ref"}, None),
        (TWO, {"reference": "ref"}, None),
    ],
)
def test_a_look_up_finds_the_task_or_says_that_there_is_none(answer: Any, places: Any, found: Receipt | None) -> None:
    assert reader(**places).looked_up(json.dumps(answer).encode(), "r") == found


@pytest.mark.parametrize(
    ("body", "places"),
    [(b"", {}), (b"{", {}), (b"7", {}), (b"{}", {"lookup": "data"}), (b"[{},{}]", {}), (b"<html>", {})],
)
def test_a_look_up_that_leaves_doubt_fails(body: bytes, places: dict[str, str]) -> None:
    with pytest.raises(PollFailedError):
        reader(**places).looked_up(body, "r")


async def test_a_long_answer_leaves_others_their_turn() -> None:
    body = json.dumps([{"id": str(number), "status": "done"} for number in range(100_000)]).encode()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    started = time.process_time()
    found, bad = await reader().sightings(body)
    spent = time.process_time() - started
    beside.cancel()
    assert (len(found), bad) == (100_000, 0)
    assert turns >= 40
    assert spent < 5
