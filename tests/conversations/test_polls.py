"""Searches through the real server."""

import json
from pathlib import Path

import pytest

from signalbox.conversations.polls import Question
from tests.conversations.conftest import IDS, PATH, Desk, made, write

SEARCHES: tuple[tuple[str, list[int]], ...] = (
    ("", [*IDS["microsoft"], *IDS["zebra"]]),
    ("company=microsoft", IDS["microsoft"]),
    ("company=%20MICRO&tags=", IDS["microsoft"]),
    ("company=3", IDS["microsoft"]),
    ("company=nobody", []),
    ("company=microsoft&tags=competition", [6, 3]),
    ("company=microsoft&tags=competition,orientation", [5, 6, 3, 4]),
    ("tags=COMPETITION", [6, 3, 1]),
    ("tags=unknown", []),
    ("tags=unknown,orientation", [5, 6, 4]),
    ("tags=competition&tags=orientation&match=all", [5, 6, 3, 4]),
    ("tags=competition,unknown&match=all", []),
    ("transcript=10", [3, 4]),
    ("transcript=99", []),
    ("type=conversation", [5, 6, 7, 3, 4, 1, 2]),
    ("type=monologue", [2, 3, 1]),
    ("speaker=BE", [1]),
    ("monologues=include&company=zebra", [1, 1, 2]),
    ("q=rivals", [3]),
    ("q=many+RIVALS", [3]),
    ("q=students+drop", [5]),
    ("q=%22%27);--", []),
    ("q=nothing+rivals", []),
    ("q=speech&monologues=include", [2, 3, 1]),
    ("since=2024-03-01", [3, 4, 1, 2]),
    ("until=2024-03-01", [5, 6, 7, 3, 4]),
    ("since=2024-03-01T00:00:01Z&until=2024-12-31", [1, 2]),
    ("company=%27%20OR%201=1;--", []),
)


async def test_each_filter_finds_what_it_says(desk: Desk) -> None:
    for query, expected in SEARCHES:
        found = await desk.get(f"{PATH}?{query}")
        assert (found["conversation_ids"], found["total"]) == (expected, len(expected)), query


async def test_words_are_found_whatever_stands_between_them(empty_desk: Desk, tmp_path: Path) -> None:
    rows = made()
    rows.conversation[0]["answer"] = "AI/ML at example.com, 3.5%"
    await empty_desk.load(write(tmp_path / "data", rows))
    for asked in ("ml", "example", "3.5", "example.com", "AI%2FML"):
        assert await empty_desk.ids(f"q={asked}") == [1], asked


async def test_a_tag_with_a_comma_in_its_name_is_found(empty_desk: Desk, tmp_path: Path) -> None:
    rows = made()
    rows.tag[0]["tag_value"] = "Mergers, Sales"
    await empty_desk.load(write(tmp_path / "data", rows))
    assert await empty_desk.ids("tags=mergers%252C%20sales") == [6, 3, 1]
    assert await empty_desk.ids("tags=mergers%252C%20sales%2Corientation&match=all") == [5, 6, 3, 4]
    assert await empty_desk.ids("tags=mergers,sales") == []


async def test_pages_are_slices_of_a_stable_order(desk: Desk) -> None:
    whole = await desk.ids()
    pages = [await desk.get(f"{PATH}?page={number}&per_page=3") for number in (1, 2, 3, 4)]
    assert [each["conversation_ids"] for each in pages] == [whole[:3], whole[3:6], whole[6:], []]
    assert {(each["total"], each["per_page"]) for each in pages} == {(len(whole), 3)}
    assert await desk.get(f"{PATH}?company=microsoft") == {
        "conversation_ids": IDS["microsoft"],
        "total": 5,
        "page": 1,
        "per_page": 50,
    }


async def test_wrong_parameters_are_named(desk: Desk) -> None:
    wrong = ("per_page=0", "per_page=501", "page=0", "page=x", "match=some", "since=soon", "since=2024-01-01T00:00:00",
             "transcript=x", "colour=red", "page=1&page=2", "type=poem", "detail=maybe")  # fmt: skip
    for query in wrong:
        answer = await desk.call(f"{PATH}?{query}")
        body = json.loads(answer.body)
        assert (answer.status, body["code"]) == (422, "invalid_query"), query
        assert body["errors"][0]["field"] == query.partition("=")[0]


async def test_details_hold_texts_as_they_were(desk: Desk) -> None:
    found = await desk.get(f"{PATH}?q=students&detail=true")
    assert (found["total"], found["page"]) == (1, 1)
    (item,) = found["conversations"]
    assert item["answer"] == 'Robert\'); DROP TABLE students;-- \U0001f600 "quoted"'
    assert (item["company"], item["company_id"], item["transcript_id"]) == ("Microsoft", 3, 11)
    assert (item["published"], item["sequence"]) == ("2023-03-01T00:00:00.000000Z", 1.0)
    assert [each["tags"] for each in (await desk.get(f"{PATH}?transcript=11&detail=1"))["conversations"]] == [
        ["orientation"], ["Competition", "orientation"], []
    ]  # fmt: skip


async def test_a_conversation_stands_between_its_neighbours(desk: Desk) -> None:
    found = await desk.get(f"{PATH}/6")
    assert (found["previous"], found["next"], found["conversation"]["id"]) == (5, 7, 6)
    assert (found["transcript"]["id"], found["transcript"]["count"]) == (11, 3)
    assert (await desk.get(f"{PATH}/3?kind=monologue"))["conversation"]["speaker"] == "Cora"
    assert (await desk.call(f"{PATH}/99")).status == 404


async def test_a_transcript_is_shown_in_order(desk: Desk) -> None:
    found = await desk.get("/api/transcripts/11")
    assert [each["id"] for each in found["items"]] == [5, 6, 7]
    assert (found["transcript"]["publish_date"], found["transcript"]["length"]) == ("2023-03-01", "9")
    assert (await desk.call("/api/transcripts/99")).status == 404


async def test_lists_count_what_the_filter_finds(desk: Desk) -> None:
    tags = await desk.get("/api/tags")
    assert [(each["name"], each["count"]) for each in tags] == [("Competition", 3), ("orientation", 3), ("unused", 0)]
    tags = await desk.get("/api/tags?company=zebra")
    assert [(each["name"], each["count"]) for each in tags] == [("Competition", 1)]
    companies = await desk.get("/api/companies")
    assert [(each["name"], each["count"], each["logo"]) for each in companies] == [
        ("Microsoft", 5, None), ("Zebra", 2, "zebra.png")
    ]  # fmt: skip
    assert [each["id"] for each in await desk.get("/api/companies?tags=orientation")] == [3]
    transcripts = await desk.get("/api/transcripts?company=microsoft")
    assert [(each["id"], each["count"]) for each in transcripts] == [(11, 3), (10, 2), (12, 2)]
    assert [each["id"] for each in await desk.get("/api/transcripts?q=rivals")] == [10]
    assert await desk.get(f"{PATH}/statistics?company=microsoft&monologues=include") == {
        "version": 1, "conversations": 5, "monologues": 2, "transcripts": 3, "companies": 1, "tags": 2, "unlinked": 0,
        "first_published": "2023-03-01T00:00:00.000000Z", "last_published": "2024-03-01T00:00:00.000000Z",
    }  # fmt: skip


async def test_lists_go_on_where_they_ended(desk: Desk) -> None:
    answer = await desk.call("/api/transcripts?limit=2&company=microsoft")
    link = (answer.value(b"link") or b"").decode()
    assert [each["id"] for each in await desk.get(link[1 : link.index(">")])] == [12]
    assert (await desk.call("/api/tags?cursor=x")).status == 400


async def test_what_is_current_is_not_sent_again(desk: Desk) -> None:
    first = await desk.call(f"{PATH}?tags=competition,orientation")
    etag = (first.value(b"etag") or b"").decode()
    again = await desk.call(f"{PATH}?tags=Orientation,competition,competition&match=any", If_None_Match=f'"x", {etag}')
    assert (again.status, again.body, again.value(b"etag")) == (304, b"", etag.encode())
    assert (await desk.call(f"{PATH}?tags=competition", If_None_Match=etag)).status == 200


async def test_a_star_stands_for_what_there_is(desk: Desk) -> None:
    for path in (f"{PATH}/6", PATH, "/api/transcripts/11"):
        found = await desk.call(path, If_None_Match=" *")
        assert (found.status, found.body, found.value(b"etag") is None) == (304, b"", False)
    for path in (f"{PATH}/99", f"{PATH}/99?kind=monologue", "/api/transcripts/99"):
        assert (await desk.call(path, If_None_Match="*")).status == 404


async def test_it_needs_its_scope(desk: Desk) -> None:
    token = await desk.hub.token("tasks:read")
    assert (await desk.hub.ask(PATH.encode(), headers=[(b"Token", token.text.encode())])).status == 403
    assert (await desk.hub.ask(PATH.encode())).status == 401


async def test_without_data_everything_is_empty(empty_desk: Desk) -> None:
    assert await empty_desk.get(f"{PATH}?company=x&q=y") == {
        "conversation_ids": [],
        "total": 0,
        "page": 1,
        "per_page": 50,
    }
    for path in ("/api/transcripts", "/api/companies", "/api/tags"):
        assert await empty_desk.get(path) == []
    assert (await empty_desk.get(f"{PATH}/statistics"))["version"] == 0
    assert (await empty_desk.call(f"{PATH}/1")).status == 404


@pytest.mark.parametrize("other", [Question("tags", first=1), Question("companies"), Question("tags", detail=True)])
def test_questions_are_told_apart(other: Question) -> None:
    assert Question("tags").digest() == Question("tags").digest() != other.digest()
