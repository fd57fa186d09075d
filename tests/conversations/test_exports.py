import asyncio
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from signalbox.conversations.exports import BATCH, COLUMNS, CsvWriter, NdjsonWriter, ParquetWriter, Writer
from signalbox.conversations.schemas import ItemOut
from signalbox.core.asgi import Message, Scope
from tests.conversations.conftest import IDS, PATH, Desk, made, talk, write
from tests.support.timing import PATIENCE

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


ROWS = 2 * BATCH + 500
IDS_IN: dict[str, Callable[[bytes], list[int]]] = {
    "csv": lambda body: [int(row["id"]) for row in csv.DictReader(io.StringIO(body.decode()))],
    "ndjson": lambda body: [json.loads(line)["id"] for line in body.splitlines()],
    "parquet": lambda body: pq.read_table(io.BytesIO(body))["id"].to_pylist(),
}


async def load_many(desk: Desk, folder: Path) -> None:
    """As many conversations as take three pieces, in one transcript."""
    rows = made()
    rows.transcript, rows.monologue = rows.transcript[:1], []
    rows.conversation = [talk(number, number) for number in range(1, ROWS + 1)]
    await desk.load(write(folder, rows))


class Held:
    """Takes an export from the hub as a client that waits after the first piece."""

    def __init__(self, desk: Desk, form: str) -> None:
        headers = [(b"host", b"hub.test"), (b"token", desk.token.encode())]
        path, query = f"{PATH}/export", f"format={form}".encode()
        self.scope: Scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
                             "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "",
                             "query_string": query, "headers": headers, "client": ("127.0.0.1", 1),
                             "server": ("127.0.0.1", 2)}  # fmt: skip
        self.pieces: list[bytes] = []
        self.ended = False
        self.first, self.go_on = asyncio.Event(), asyncio.Event()
        self._asked = False

    async def receive(self) -> Message:
        if self._asked:
            await asyncio.Event().wait()
        self._asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            return
        self.pieces.append(message.get("body", b""))
        self.ended = not message.get("more_body", False)
        self.first.set()
        await self.go_on.wait()


async def test_all_of_many_rows_are_streamed(empty_desk: Desk, tmp_path: Path) -> None:
    await load_many(empty_desk, tmp_path / "data")
    for form, read in IDS_IN.items():
        answer = await empty_desk.call(f"{PATH}/export?format={form}")
        assert (answer.status, answer.whole, answer.value(b"transfer-encoding")) == (200, True, b"chunked")
        assert read(answer.body) == list(range(1, ROWS + 1)), form


async def test_the_first_piece_is_sent_before_the_others_are_read(empty_desk: Desk, tmp_path: Path) -> None:
    await load_many(empty_desk, tmp_path / "data")
    for form, read in IDS_IN.items():
        held = Held(empty_desk, form)
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            export = tasks.create_task(empty_desk.hub.hub.front(held.scope, held.receive, held.send))
            await held.first.wait()
            assert (len(held.pieces), held.ended, export.done()) == (1, False, False), form
            if form != "parquet":  # whose footer tells what is in it
                assert read(held.pieces[0]) == list(range(1, BATCH + 1))
            held.go_on.set()
        assert (len(held.pieces), held.ended) == (4, True)
        assert read(b"".join(held.pieces)) == list(range(1, ROWS + 1)), form
