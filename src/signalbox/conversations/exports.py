"""``GET /api/conversations/export``: all that is found, streamed as CSV, NDJSON or Parquet."""

import asyncio
import csv
import io
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import Connection

from signalbox.auth.doors import Parameter, Poll
from signalbox.auth.principal import Principal
from signalbox.conversations import answers
from signalbox.conversations.errors import InvalidQueryError, MissingExtraError
from signalbox.conversations.filters import NAMES, PARAMETERS, parse_query, to_filter
from signalbox.conversations.polls import PATH, READ
from signalbox.conversations.runtime import ConversationRuntime
from signalbox.conversations.schemas import ItemOut
from signalbox.conversations.searching import Searcher
from signalbox.conversations.vectors import Ints
from signalbox.core.asgi import Receive, Scope, Send, until_gone

BATCH: Final = 2_000
"""Items that one piece of the stream holds, and one row group of Parquet."""
COLUMNS: Final = tuple(field.name for field in msgspec.structs.fields(ItemOut))

_PARQUET: Final = {"id": "int64", "company_id": "int64", "transcript_id": "int64", "sequence": "double", "tags": "list"}


class Writer(Protocol):
    """Writes one format, a piece at a time."""

    def write(self, items: Sequence[ItemOut]) -> bytes:
        """The bytes of some more items."""
        ...

    def end(self) -> bytes:
        """What stands behind the last."""
        ...


class NdjsonWriter:
    """A JSON object a line."""

    def write(self, items: Sequence[ItemOut]) -> bytes:
        """See ``Writer.write``."""
        return msgspec.json.Encoder().encode_lines(items)

    def end(self) -> bytes:
        """See ``Writer.end``."""
        return b""


class CsvWriter:
    """RFC 4180, with a line of names first; tags have ``;`` between them."""

    def __init__(self) -> None:
        self._begun = False

    def write(self, items: Sequence[ItemOut]) -> bytes:
        """See ``Writer.write``."""
        text = io.StringIO()
        writer = csv.writer(text)
        if not self._begun:
            writer.writerow(COLUMNS)
            self._begun = True
        for item in items:
            *cells, tags = msgspec.structs.astuple(item)
            writer.writerow([*cells, ";".join(tags)])
        return text.getvalue().encode()

    def end(self) -> bytes:
        """See ``Writer.end``."""
        return b"" if self._begun else self.write([])


class ParquetWriter:
    """A row group for each piece."""

    def __init__(self) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
            import pyarrow.parquet as pq  # noqa: PLC0415
        except ImportError:
            raise MissingExtraError from None
        types = {"int64": pa.int64(), "double": pa.float64(), "list": pa.list_(pa.string())}
        self._pa: Any = pa
        self._schema = pa.schema([(name, types.get(_PARQUET.get(name, ""), pa.string())) for name in COLUMNS])
        self._sink = io.BytesIO()
        self._writer = pq.ParquetWriter(pa.PythonFile(self._sink, mode="w"), self._schema)
        self._sent = 0

    def write(self, items: Sequence[ItemOut]) -> bytes:
        """See ``Writer.write``."""
        rows = [msgspec.structs.asdict(item) for item in items]
        self._writer.write_table(self._pa.Table.from_pylist(rows, self._schema))
        return self._taken()

    def end(self) -> bytes:
        """See ``Writer.end``."""
        self._writer.close()
        return self._taken()

    def _taken(self) -> bytes:
        found = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return found


FORMATS: Final[dict[str, tuple[Callable[[], Writer], bytes]]] = {
    "csv": (CsvWriter, b"text/csv; charset=utf-8"),
    "ndjson": (NdjsonWriter, b"application/x-ndjson"),
    "parquet": (ParquetWriter, b"application/vnd.apache.parquet"),
}


class Exports:
    """Streams what is found."""

    def __init__(self, runtime: ConversationRuntime) -> None:
        self._runtime = runtime

    def poll(self) -> Poll:
        """Its declaration."""
        return Poll(
            path=f"{PATH}/export",
            scope=READ,
            handle=self.export,
            summary="All that is found, as a file",
            answer=None,
            parameters=(*PARAMETERS, Parameter("format", "query", f"{', '.join(FORMATS)}; csv if none is named.")),
            responses={422: "A parameter is wrong"},
            tags=("conversations",),
        )

    async def export(self, scope: Scope, receive: Receive, send: Send, _principal: Principal) -> None:
        """Send the file. A failure in the middle breaks the connection off, so that half a file is not taken for one."""
        query = parse_query(scope["query_string"], (*NAMES, "format"))
        name = query.get("format") or "csv"
        if name not in FORMATS:
            msg = f"is one of {', '.join(FORMATS)}"
            raise InvalidQueryError(msg, field="format")
        make, media_type = FORMATS[name]
        writer, searcher = make(), await self._runtime.searcher()
        found = await self._runtime.context.db.read(answers.search, searcher, to_filter(query))
        disposition = f'attachment; filename="conversations.{name}"'.encode()
        headers = [(b"content-type", media_type), (b"content-disposition", disposition)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        gone = asyncio.ensure_future(until_gone(receive))
        try:
            for first in range(0, 0 if scope["method"] == "HEAD" else len(found), BATCH):
                if gone.done():
                    return
                piece = await self._runtime.context.db.read(_piece, searcher, found[first : first + BATCH], writer)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": writer.end()})
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)


def _piece(tx: Connection, searcher: Searcher, places: Ints, writer: Writer) -> bytes:
    return writer.write(answers.read_items(tx, searcher, places.tolist()))
