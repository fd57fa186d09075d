"""What belongs together, as files say it: the oddities of real data sets."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signalbox.conversations.dataset import open_dataset
from signalbox.conversations.drafting import Draft, draft, find_codes
from signalbox.conversations.errors import InvalidDatasetError
from signalbox.conversations.linking import NONE
from signalbox.conversations.parts import Numbers
from signalbox.conversations.schemas import summarize
from signalbox.sandbox.interviews import Made, schemas, write_folder
from tests.conversations.conftest import made, speech, talk, transcript, write, write_explicit


def drafted(folder: Path) -> Draft:
    with open_dataset(folder) as dataset:
        return draft(dataset)


def links(found: Draft) -> list[tuple[int, int | None, int | None]]:
    """Ids of conversations and monologues, of their transcripts, of their companies."""
    of = found.drafts

    def at(ids: "list[int]", code: int) -> int | None:
        return None if code == NONE else ids[code]

    scripts, owners = of.transcript_ids.tolist(), of.company_ids.tolist()
    rows = zip(of.keys.tolist(), of.transcripts.tolist(), of.companies.tolist(), strict=True)
    return [(key, at(scripts, script), at(owners, owner)) for key, script, owner in rows]


EXPECTED = [
    (1, 30, 7), (2, 30, 7), (3, 10, 3), (4, 10, 3), (5, 11, 3), (6, 11, 3), (7, 11, 3), (1, 31, 7), (2, 12, 3), (3, 12, 3),
]  # fmt: skip


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_the_order_of_rows_says_what_belongs_together(tmp_path: Path, parts: int) -> None:
    found = drafted(write(tmp_path / "d", parts=parts))
    assert links(found) == EXPECTED
    assert summarize(found.report) == {"read": 21, "linked": 21, "unlinked": 0, "rejected": 0}
    assert found.report["notes"] == []
    assert found.taken.tolist() == [True] * 6 + [False] + [True] * 4, "a row that only adds a tag is no item"


def test_columns_may_stand_in_another_order_in_each_part(tmp_path: Path) -> None:
    folder = write(tmp_path / "d")
    for path in sorted((folder / "conversation").glob("part*"))[1:]:
        table = pq.read_table(path)
        pq.write_table(table.select(table.column_names[::-1]), path)
    assert links(drafted(folder)) == EXPECTED


def test_optional_columns_may_be_missing(tmp_path: Path) -> None:
    folder, rows = write(tmp_path / "d"), made()
    kept = {"company": ["id_company", "company_name"], "conversation": ["id_conversation", "sequence_conversation"]}
    kept |= {"monologue": ["id_monologue", "sequence_monologue"]}
    for name, columns in kept.items():
        for path in (folder / name).glob("part*"):
            path.unlink()
        write_folder(folder / name, getattr(rows, name), {each: schemas()[name][each] for each in columns})
    assert links(drafted(folder)) == EXPECTED


def test_parts_may_all_be_empty(tmp_path: Path) -> None:
    found = drafted(write(tmp_path / "d", Made([], [], [], [], [])))
    assert (links(found), found.rows, summarize(found.report)["read"]) == ([], 0, 0)


def test_where_counts_differ_nothing_is_linked_and_all_is_told(tmp_path: Path) -> None:
    rows = made()
    rows.conversation.append(talk(8, 1))
    found = drafted(write(tmp_path / "d", rows))
    assert {link[1] for link in links(found)[:8]} == {None}
    assert [link[1] for link in links(found)[8:]] == [31, 12, 12], "monologues add up"
    assert "4 runs of rows of conversation and 3 transcripts" in found.report["notes"][0]
    assert summarize(found.report)["unlinked"] == 9
    reasons = [
        file["reasons"] for file in found.report["files"] if file["file"].startswith("conversation") and file["read"]
    ]
    assert {reason for each in reasons for reason in each} == {"runs and transcripts do not add up"}


def test_explicit_columns_win(tmp_path: Path) -> None:
    rows = made()
    rows.transcript[0]["id_company"] = 3
    rows.conversation[0]["id_transcript"] = 11
    rows.conversation[1]["id_transcript"] = 99
    rows.conversation[2]["id_company"] = 7
    found = drafted(write_explicit(tmp_path / "d", rows, "transcript", "conversation"))
    assert links(found)[:4] == [(1, 11, 3), (2, None, None), (3, 10, 7), (4, 10, 3)]
    told = [reason for file in found.report["files"] for reason in file["reasons"]]
    assert told == ["id_transcript names no transcript"]


def test_a_company_that_there_is_not_is_told_and_no_other_is_taken(tmp_path: Path) -> None:
    rows = made()
    rows.conversation[0]["id_company"] = 99
    rows.monologue[1]["id_company"] = 98
    rows.monologue[2]["id_company"] = 7
    found = drafted(write_explicit(tmp_path / "d", rows, "conversation", "monologue"))
    assert links(found)[:2] == [(1, 30, None), (2, 30, 7)]
    assert links(found)[7:] == [(1, 31, 7), (2, 12, None), (3, 12, 7)]
    assert [file["reasons"] for file in found.report["files"] if file["reasons"]] == [
        {"id_company names no company": 1}
    ] * 2  # fmt: skip
    assert summarize(found.report) == {"read": 21, "linked": 19, "unlinked": 2, "rejected": 0}


def test_titles_that_disagree_leave_a_block_without_company(tmp_path: Path) -> None:
    rows = made()
    rows.transcript.append(transcript(13, "monologue", "Zebra again"))
    rows.monologue.append(speech(4, 1))
    found = drafted(write(tmp_path / "d", rows))
    assert [link[1:] for link in links(found)] == [(30, 7)] * 2 + [(10, None)] * 2 + [(11, None)] * 3 + [
        (31, 7), (12, None), (12, None), (13, None)
    ]  # fmt: skip
    assert "4 transcripts from 'Interview' on have no company" in found.report["notes"][0]


def test_rows_that_cannot_be_kept_are_rejected_with_reasons(tmp_path: Path) -> None:
    rows = made()
    rows.company.append({"id_company": 7, "company_name": "Twice"})
    rows.company.append({"id_company": 8, "company_name": " "})
    rows.transcript.append(transcript(14, "poem", "x"))
    rows.conversation.append({"id_conversation": None, "sequence_conversation": 4.0})
    rows.conversation.append(talk(1, 5.0))
    rows.tag.append({"id_tag": None, "tag_value": "x"})
    found = drafted(write(tmp_path / "d", rows, parts=1))
    reasons = {file["file"].split("/")[0]: file["reasons"] for file in found.report["files"] if file["reasons"]}
    assert reasons == {
        "company": {"id_company stands there twice": 1, "company_name is empty": 1},
        "transcript": {"transcript_type is neither conversation nor monologue": 1},
        "conversation": {"id_conversation is no whole number": 1, "id_conversation stands there twice": 1},
        "tag": {"id_tag is no whole number": 1},
    }
    assert links(found) == EXPECTED


def test_unknown_tags_and_unreadable_dates_are_noted(tmp_path: Path) -> None:
    rows = made()
    rows.conversation[1]["id_tag"] = 77
    rows.transcript[0]["publish_date"] = "soon"
    assert drafted(write(tmp_path / "d", rows)).report["notes"] == [
        "1 publish dates cannot be read",
        "1 rows of conversation name a tag that there is not",
    ]


def test_a_missing_column_is_named_with_its_part(tmp_path: Path) -> None:
    folder = write(tmp_path / "d")
    path = min((folder / "tag").glob("part*"))
    pq.write_table(pa.table({"tag_value": ["x"]}), path)
    with pytest.raises(InvalidDatasetError, match=f"tag/{path.name} has no column id_tag"):
        drafted(folder)


def test_codes_are_found_in_any_order() -> None:
    wanted = Numbers(np.array([3, 7, 5, 3]), np.array([True, True, True, False]))
    assert find_codes(np.array([7, 3]), wanted).tolist() == [1, 0, NONE, NONE]
    assert find_codes(np.zeros(0, dtype=np.int64), wanted).tolist() == [NONE] * 4
