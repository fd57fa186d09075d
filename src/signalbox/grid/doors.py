"""What is taken in durably (raw ASGI): one reading, many, and orders of reports."""

import asyncio
import json
from typing import Any, Final, NoReturn
from urllib.parse import parse_qs

import msgspec
from sqlalchemy import Connection

from signalbox.auth.doors import Accepted, Asked, Door, Parameter
from signalbox.auth.principal import Principal
from signalbox.core.errors import Fault, InvalidError, UnprocessableError
from signalbox.grid import intake, reports
from signalbox.grid.errors import BatchTooLongError
from signalbox.grid.schemas import BatchResult, NewReading, NewReport, ReadingOut, ReportOut

PATH: Final = "/api/measurements"
REPORTS: Final = "/api/reports"
WRITE: Final = "grid:write"
TAGS: Final = ("grid",)

MAX_BATCH: Final = 32 * 1024 * 1024
MOST_ROWS: Final = 50_000

_READING: Final = msgspec.json.Decoder(NewReading)
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])


class Batch(msgspec.Struct):
    """A batch, decoded; a text is why a row is no reading."""

    rows: list[NewReading | str]
    all_or_nothing: bool


def doors() -> list[Door[Any]]:
    """What takes measurements and orders in."""
    one: Door[Any] = Door(
        method="POST",
        path=PATH,
        scope=WRITE,
        body=bytes,
        prepare=_decode_one,
        handle=_accept,
        summary="Add a reading: component_id, value, measurement_type VOLTAGE, CURRENT or POWER, and timestamp",
        answer=ReadingOut,
        idempotent=True,
        responses={404: "There is no such component", 409: "It has a reading of this type at this time"},
        tags=TAGS,
    )
    many: Door[Any] = Door(
        method="POST",
        path=f"{PATH}/batch",
        scope=WRITE,
        body=bytes,
        prepare=_decode_many,
        handle=_accept_many,
        summary="Add many readings: a JSON array, or one JSON object a line; each row has its own result",
        answer=BatchResult,
        status=200,
        idempotent=True,
        parameters=[Parameter("all_or_nothing", "query", "Take every row, or none and answer 409.", "boolean")],
        max_body=MAX_BATCH,
        tags=TAGS,
    )
    order = Door(
        method="POST",
        path=REPORTS,
        scope=WRITE,
        body=NewReport,
        handle=_order,
        summary="Order a report; GET it with ?wait=30",
        answer=ReportOut,
        status=202,
        idempotent=True,
        tags=TAGS,
    )
    return [one, many, order]


async def _decode_one(asked: Asked) -> NewReading:
    try:
        return _READING.decode(asked.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        refuse(asked.body, error)


async def _decode_many(asked: Asked) -> Batch:
    wish = parse_qs(asked.query.decode("latin-1")).get("all_or_nothing", ["false"])[-1].lower()
    if wish not in {"true", "false", "1", "0"}:
        raise UnprocessableError([Fault("all_or_nothing", "is true or false")])
    rows: list[NewReading | str] = []
    for position, row in enumerate(split_rows(asked.body)):
        rows.append(decode_row(row))
        if position % 1000 == 999:  # noqa: PLR2004 - about a millisecond, then others have their turn
            await asyncio.sleep(0)
    return Batch(rows, wish in {"true", "1"})


def _accept(tx: Connection, new: NewReading, _principal: Principal, now: int) -> Accepted:
    return Accepted(201, intake.accept(tx, new, now=now))


def _accept_many(tx: Connection, batch: Batch, _principal: Principal, now: int) -> Accepted:
    return Accepted(200, intake.accept_many(tx, batch.rows, all_or_nothing=batch.all_or_nothing, now=now))


def _order(tx: Connection, new: NewReport, principal: Principal, now: int) -> Accepted:
    made = reports.order(tx, new, by=principal.actor, now=now)
    return Accepted(202, made, f"{REPORTS}/{made.id}")


def split_rows(content: bytes) -> list[bytes]:
    """The rows of a JSON array, or the lines of NDJSON; empty lines are left out.

    Raises:
        BatchTooLongError: there are over 50,000.
        InvalidError: the array is not JSON.
    """
    if content.lstrip()[:1] == b"[":
        try:
            rows = [bytes(row) for row in _RAWS.decode(content)]
        except (msgspec.DecodeError, UnicodeDecodeError):
            rows = _lenient_rows(content)
    else:
        rows = [line for line in content.splitlines() if line.strip()]
    if len(rows) > MOST_ROWS:
        msg = f"the batch has {len(rows)} rows; {MOST_ROWS} are allowed"
        raise BatchTooLongError(msg)
    return rows


def decode_row(row: bytes) -> NewReading | str:
    """The reading of one row, or why it is none."""
    try:
        return _READING.decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # the former is what validation errors are too
        return str(error)


def refuse(content: bytes, error: Exception) -> NoReturn:
    """Tell a caller what is wrong with the body of a reading.

    Raises:
        UnprocessableError: it is JSON but no reading, or JSON but for a NaN or an Infinity.
        InvalidError: it is not JSON.
    """
    if isinstance(error, msgspec.ValidationError):
        message, _, place = str(error).partition(" - at ")
        raise UnprocessableError([Fault(place.strip("`").removeprefix("$.") or "body", message)]) from None
    try:
        json.loads(content)  # takes NaN and Infinity, which JSON does not have
    except (ValueError, RecursionError):
        msg = f"the body is not JSON: {error}"
        raise InvalidError(msg) from None
    raise UnprocessableError([Fault("value", "is a finite number")]) from None


def _lenient_rows(content: bytes) -> list[bytes]:
    """Rows of an array in which NaN or Infinity stand: those rows are rejected, not the batch."""
    try:
        return [json.dumps(row).encode() for row in json.loads(content)]
    except (ValueError, RecursionError) as error:
        msg = f"the body is neither a JSON array nor JSON objects, one a line: {error}"
        raise InvalidError(msg) from None
