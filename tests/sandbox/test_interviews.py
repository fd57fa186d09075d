import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from signalbox.conversations.dataset import open_dataset
from signalbox.conversations.drafting import draft
from signalbox.conversations.linking import CONVERSATION, NONE
from signalbox.conversations.schemas import summarize
from signalbox.sandbox.interviews import Size, make_dataset


def test_a_data_set_is_laid_out_as_spark_does_and_adds_up(tmp_path: Path) -> None:
    make_dataset(tmp_path, Size(500, companies=16))
    names = sorted(path.name for path in (tmp_path / "conversation").iterdir())
    assert sum(name.startswith(".part-") and name.endswith(".crc") for name in names) == 4
    assert [name[:10] for name in names if name.startswith("part-")] == [f"part-0000{number}" for number in range(4)]
    assert "_SUCCESS" in names
    assert pq.read_schema(next((tmp_path / "conversation").glob("part*"))).field("id_tag").type == "int32"
    with open_dataset(tmp_path) as dataset:
        found = draft(dataset)
    sums = summarize(found.report)
    assert (sums["unlinked"], sums["rejected"], found.report["notes"]) == (0, 0, [])
    assert set(found.drafts.companies.tolist()) == set(range(16))


@pytest.mark.parametrize("rows", [0, 1, 10, 19, 50])
@pytest.mark.parametrize("companies", [1, 20, 70])
def test_data_sets_of_any_size_add_up(tmp_path: Path, rows: int, companies: int) -> None:
    make_dataset(tmp_path, Size(rows, companies=companies))
    with open_dataset(tmp_path) as dataset:
        found = draft(dataset)
    sums = summarize(found.report)
    assert (sums["unlinked"], sums["rejected"], found.report["notes"]) == (0, 0, [])
    assert (found.drafts.kinds == CONVERSATION).sum() == rows
    assert len(set(found.drafts.companies.tolist()) - {NONE}) == min(rows, companies)
    assert NONE not in found.drafts.transcripts


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    prints = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_dataset(tmp_path / name, Size(100, seed=seed))
        with open_dataset(tmp_path / name) as dataset:
            prints.append(dataset.fingerprint())
    assert prints[0] == prints[1] != prints[2]


def test_all_rows_are_made_whatever_their_number(tmp_path: Path) -> None:
    make_dataset(tmp_path, Size(1_003, companies=7, parts=2))
    parts = [pq.read_table(path) for path in sorted((tmp_path / "conversation").glob("part*"))]
    assert [len(part) for part in parts] == [501, 502, 0]
    keys = [key for part in parts for key in part["id_conversation"].to_pylist()]
    assert keys == list(range(1, 1_004))
    assert all(text.endswith("?") for part in parts for text in part["question"].to_pylist())


def test_it_is_a_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "signalbox.sandbox.interviews", str(tmp_path / "d"), "--rows", "50"]
    subprocess.run(command, check=True, timeout=60)
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [
        "company", "conversation", "monologue", "tag", "transcript"
    ]  # fmt: skip
