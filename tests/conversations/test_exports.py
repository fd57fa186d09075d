import csv
import io
import json

import pyarrow.parquet as pq

from signalbox.conversations.exports import COLUMNS, CsvWriter, NdjsonWriter, ParquetWriter, Writer
from signalbox.conversations.schemas import ItemOut
from tests.conversations.conftest import IDS, PATH, Desk

TEXT = 'Robert\'); DROP TABLE students;-- \U0001f600 "quoted"'
ITEM = ItemOut(1, "conversation", None, None, None, None, 1.5, 'a "b"\n', ",;", None, None, ["x", "y"])


def whole(writer: Writer, *pieces: list[ItemOut]) -> bytes:
    return b"".join([*(writer.write(each) for each in pieces), writer.end()])


def test_formats_hold_the_same_in_one_piece_or_many() -> None:
    (head, *rows) = csv.reader(io.StringIO(whole(CsvWriter(), [ITEM], [ITEM]).decode()))
    assert (tuple(head), len(rows), rows[0][-1], rows[0][7]) == (COLUMNS, 2, "x;y", 'a "b"\n')
    lines = whole(NdjsonWriter(), [ITEM], [ITEM]).splitlines()
    assert [json.loads(line)["question"] for line in lines] == ['a "b"\n'] * 2
    table = pq.read_table(io.BytesIO(whole(ParquetWriter(), [ITEM], [ITEM])))
    assert (table.num_rows, table.column_names, table["tags"][1].as_py()) == (2, list(COLUMNS), ["x", "y"])


def test_without_rows_there_is_a_file_all_the_same() -> None:
    assert whole(CsvWriter()).decode().strip() == ",".join(COLUMNS)
    assert whole(NdjsonWriter()) == b""
    assert pq.read_table(io.BytesIO(whole(ParquetWriter()))).num_rows == 0


async def test_all_that_is_found_is_streamed(desk: Desk) -> None:
    answer = await desk.call(f"{PATH}/export?company=microsoft&format=ndjson")
    rows = [json.loads(line) for line in answer.body.splitlines()]
    assert ([row["id"] for row in rows], rows[0]["answer"], answer.whole) == (IDS["microsoft"], TEXT, True)
    answer = await desk.call(f"{PATH}/export")
    assert answer.value(b"content-type") == b"text/csv; charset=utf-8"
    assert len(list(csv.reader(io.StringIO(answer.body.decode())))) == 8
    answer = await desk.call(f"{PATH}/export?format=parquet&monologues=include")
    assert pq.read_table(io.BytesIO(answer.body)).num_rows == 10
    assert (await desk.call(f"{PATH}/export?format=xls")).status == 422
    head = await desk.hub.ask(f"{PATH}/export".encode(), method=b"HEAD", headers=[(b"Token", desk.token.encode())])
    assert head.status == 200
