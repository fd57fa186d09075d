import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from signalbox.conversations.dataset import open_dataset
from signalbox.conversations.drafting import draft
from signalbox.conversations.schemas import summarize
from signalbox.sandbox.interviews import Size, make_rows, write_dataset


def test_a_data_set_is_laid_out_as_spark_does_and_adds_up(tmp_path: Path) -> None:
    write_dataset(tmp_path, make_rows(Size(500, companies=16)))
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


def test_the_same_seed_makes_the_same_rows() -> None:
    assert make_rows(Size(100)) == make_rows(Size(100)) != make_rows(Size(100, seed=1))


def test_it_is_a_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "signalbox.sandbox.interviews", str(tmp_path / "d"), "--rows", "50"]
    subprocess.run(command, check=True, timeout=60)
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [
        "company", "conversation", "monologue", "tag", "transcript"
    ]  # fmt: skip
