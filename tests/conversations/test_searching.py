"""Searches in arrays against the plainest way to do the same."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from signalbox.conversations.arrays import UNPUBLISHED, Drafts, empty, sort
from signalbox.conversations.filters import Filter
from signalbox.conversations.linking import NONE
from signalbox.conversations.schemas import KINDS
from signalbox.conversations.searching import Searcher, nothing

COMPANIES = ("Beta", "alpha", "Alphabet")
TAGS = ("x", "y", "X")


@st.composite
def rows(draw: st.DrawFn) -> tuple[Drafts, list[dict[str, int]]]:
    """Items with a random transcript, tags and kind, some with a company of their own; transcripts with one and a date."""
    scripts = draw(st.integers(0, 4))
    owners = [draw(st.integers(NONE, 2)) for _ in range(scripts)]
    dates = [draw(st.sampled_from([5, 9, UNPUBLISHED])) for _ in range(scripts)]
    items = [
        {
            "key": key,
            "kind": draw(st.integers(0, 1)),
            "script": draw(st.integers(NONE, scripts - 1)),
            "tags": draw(st.integers(0, 7)),
            "speaker": draw(st.integers(NONE, 1)),
            "owner": draw(st.integers(NONE - 1, 2)),
        }
        for key in range(draw(st.integers(0, 12)))
    ]
    for item in items:
        if item["owner"] < NONE:
            item["owner"] = NONE if item["script"] == NONE else owners[item["script"]]
        item["date"] = UNPUBLISHED if item["script"] == NONE else dates[item["script"]]
    pairs = [(at, tag) for at, item in enumerate(items) for tag in range(3) if item["tags"] >> tag & 1]
    drafts = Drafts(
        company_ids=np.array([30, 20, 10]),
        company_names=COMPANIES,
        transcript_ids=np.arange(scripts) + 100,
        transcript_types=np.arange(scripts) % 2,
        transcript_companies=np.array(owners, dtype=np.int64),
        published=np.array(dates, dtype=np.int64),
        tag_ids=np.array([1, 2, 3]),
        keys=np.array([item["key"] for item in items], dtype=np.int64),
        kinds=np.array([item["kind"] for item in items], dtype=np.int8),
        numbers=np.arange(len(items), dtype=np.int32),
        companies=np.array([item["owner"] for item in items], dtype=np.int64),
        transcripts=np.array([item["script"] for item in items], dtype=np.int64),
        sequences=np.array([float(-item["key"]) for item in items]),
        speakers=np.array([item["speaker"] for item in items], dtype=np.int64),
        speaker_names=("Ann", "Bo"),
        tag_of=(np.array([at for at, _ in pairs], dtype=np.int64), np.array([tag for _, tag in pairs], dtype=np.int64)),
    )
    return drafts, items


def searcher(drafts: Drafts) -> Searcher:
    made = sort(drafts)
    return Searcher(1, made.arrays, [COMPANIES[at] for at in made.companies], TAGS)


FILTERS = st.builds(
    Filter,
    company=st.sampled_from(["", "alpha", "et", "10", "none"]),
    tags=st.sampled_from([(), ("x",), ("x", "y"), ("y", "z"), ("z",)]),
    all_tags=st.booleans(),
    transcript=st.sampled_from([None, None, 100, 999]),
    speaker=st.sampled_from(["", "", "an", "z"]),
    since=st.sampled_from([None, None, 6]),
    until=st.sampled_from([None, None, 6]),
    monologues=st.booleans(),
    type=st.sampled_from([None, None, "conversation", "monologue"]),
    words=st.none(),
)


def tag_names(item: dict[str, int]) -> set[str]:
    return {TAGS[tag].casefold() for tag in range(3) if item["tags"] >> tag & 1}


def lets_through(wanted: Filter, item: dict[str, int], items: list[dict[str, int]]) -> bool:
    """The plainest way."""
    name = "" if item["owner"] == NONE else COMPANIES[item["owner"]].casefold()
    number = str([30, 20, 10][item["owner"]])
    named = wanted.company == number if wanted.company in {"30", "20", "10"} else wanted.company in name
    company = not wanted.company or (item["owner"] != NONE and named)
    there: set[str] = set().union(*(tag_names(each) for each in items if each["script"] == item["script"]))
    tags = not wanted.tags or bool(tag_names(item) & set(wanted.tags))
    every = not wanted.all_tags or (item["script"] != NONE and there >= set(wanted.tags))
    script = wanted.transcript is None or item["script"] + 100 == wanted.transcript
    speaker = not wanted.speaker or (item["speaker"] != NONE and wanted.speaker in ("ann", "bo")[item["speaker"]])
    dated = item["date"] != UNPUBLISHED
    since = wanted.since is None or (dated and item["date"] >= wanted.since)
    until = wanted.until is None or (dated and item["date"] <= wanted.until)
    typed = wanted.type is None or (item["script"] != NONE and item["script"] % 2 == KINDS.index(wanted.type))
    kind = typed and (wanted.monologues or item["kind"] == 0)
    return company and tags and every and script and speaker and since and until and kind


def place(item: dict[str, int]) -> tuple[object, ...]:
    order = {1: 0, 2: 1, 0: 2, NONE: 3}[item["owner"]]  # alpha, Alphabet, Beta, nobody
    return order, item["date"], 99 if item["script"] == NONE else item["script"], -item["key"]


@given(rows(), FILTERS)
def test_searches_find_what_the_plainest_way_finds_in_order(
    given_rows: tuple[Drafts, list[dict[str, int]]], wanted: Filter
) -> None:
    drafts, items = given_rows
    of = searcher(drafts)
    found = of.find(wanted)
    expected = sorted((item for item in items if lets_through(wanted, item, items)), key=place)
    assert of.arrays.keys[found].tolist() == [item["key"] for item in expected]
    assert of.count_tags(found).tolist() == [sum(item["tags"] >> tag & 1 for item in expected) for tag in range(3)]
    assert int(of.count_companies(found).sum()) == sum(item["owner"] != NONE for item in expected)
    assert int(of.count_transcripts(found).sum()) == sum(item["script"] != NONE for item in expected)


@given(rows())
def test_items_are_found_by_id_by_number_and_by_transcript(given_rows: tuple[Drafts, list[dict[str, int]]]) -> None:
    drafts, items = given_rows
    of = searcher(drafts)
    for item in items:
        at = of.place_of(item["key"], item["kind"])
        assert at is not None
        assert of.arrays.keys[at] == item["key"]
        assert of.find(Filter(monologues=True), [item["key"]]).tolist() == [at]
    assert of.place_of(999, 0) is None
    assert sum(len(of.thread(script)) for script in range(len(of.arrays.transcript_ids))) == sum(
        item["script"] != NONE for item in items
    )
    tagged = of.tags_of(list(range(of.arrays.size)))
    assert [set(codes) for codes in tagged] == [
        {tag for tag in range(3) if items[int(key)]["tags"] >> tag & 1} for key in of.arrays.keys
    ]


def test_there_may_be_nothing() -> None:
    assert nothing().find(Filter(company="x", tags=("y",), monologues=True)).tolist() == []
    assert nothing().tags_of([]) == []


def test_items_have_their_tags_in_whatever_order_they_are_asked_for() -> None:
    arrays = replace(empty(), tag_starts=np.array([0, 2, 4]), tagged=np.array([4, 7, 1, 7], dtype=np.int32))
    assert Searcher(1, arrays, (), ("a", "b")).tags_of([7, 1, 4, 0]) == [[0, 1], [1], [0], []]


def test_a_number_that_is_an_id_means_that_company_alone() -> None:
    arrays = replace(empty(), company_ids=np.array([7, 1, 15]))
    known = Searcher(1, arrays, ["Line 1", "Acme", "Line 15"], ())
    assert [known.companies(asked) for asked in ("1", "15", "5", "line")] == [[1], [2], [2], [0, 2]]
