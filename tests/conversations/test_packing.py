from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signalbox.conversations import packing
from signalbox.conversations.blocks import ROWS, Block, Content
from signalbox.conversations.dataset import open_dataset
from signalbox.conversations.errors import CorruptPartError
from signalbox.conversations.packing import Packed, pack
from tests.conversations.conftest import made, speech, talk, write


def packed(folder: Path, taken: list[bool] | None = None) -> list[Packed]:
    with open_dataset(folder) as dataset:
        flags = np.ones(10_000, dtype=np.bool_) if taken is None else np.array(taken)
        return [each for some in pack(dataset, flags) for each in some]


def contents(blocks: list[Packed]) -> list[Content]:
    return [Block(each.data).content(row) for each in blocks for row in range(each.rows)]


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_blocks_are_full_whatever_parts_and_kinds_rows_come_from(tmp_path: Path, parts: int) -> None:
    rows = made()
    rows.conversation = [talk(at, float(at), text=f"answer {at}") for at in range(ROWS + 10)]
    rows.monologue = [speech(at, float(at)) for at in range(ROWS)]
    blocks = packed(write(tmp_path / "d", rows, parts=parts))
    assert [(each.first, each.rows) for each in blocks] == [(0, ROWS), (ROWS, ROWS), (2 * ROWS, 10)]
    found = contents(blocks)
    assert found[ROWS + 9] == Content(ROWS + 9.0, f"Question {ROWS + 9}?", f"answer {ROWS + 9}", None, None)
    assert found[ROWS + 10] == Content(0.0, None, None, "Ada", "Speech 0.")
    assert len(found) == 2 * ROWS + 10


def test_rows_that_are_no_items_keep_their_place_without_texts(tmp_path: Path) -> None:
    found = contents(packed(write(tmp_path / "d"), [at != 6 for at in range(11)]))
    assert found[6] == Content(None, None, None, None, None)
    assert (found[5].question, found[7].question, found[8].speaker) == ("Question 6?", "Question 7?", "Ben")


def test_rows_without_texts_or_data_are_nothing(tmp_path: Path) -> None:
    rows = made()
    rows.conversation = [{"id_conversation": at, "sequence_conversation": None} for at in range(3)]
    rows.monologue = []
    assert contents(packed(write(tmp_path / "d", rows))) == [Content(None, None, None, None, None)] * 3
    rows.conversation = []
    assert packed(write(tmp_path / "e", rows)) == []


def test_a_text_that_is_not_utf_8_is_told_with_its_part(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", parts=1)
    path = min((folder / "conversation").glob("part*"))
    table = pq.read_table(path)
    wrong = pa.array([b"\xff\xfe"] * len(table)).view(pa.string())
    pq.write_table(table.set_column(table.column_names.index("answer"), "answer", wrong), path)
    with pytest.raises(CorruptPartError, match=f"conversation/{path.name} cannot be read"):
        packed(folder)


def test_batches_hold_whole_blocks() -> None:
    assert packing.BATCH % ROWS == 0
