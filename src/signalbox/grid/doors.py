"""What is taken in durably (raw ASGI): one reading, and orders of reports; ``batch_upload.py`` takes many."""

import json
from typing import Any, Final, NoReturn

import msgspec
from sqlalchemy import Connection

from signalbox.auth.doors import Accepted, Asked, Door
from signalbox.auth.principal import Principal
from signalbox.core.errors import Fault, InvalidError, UnprocessableError
from signalbox.grid import intake, reports
from signalbox.grid.schemas import NewReading, NewReport, ReadingOut, ReportOut

PATH: Final = "/api/measurements"
REPORTS: Final = "/api/reports"
WRITE: Final = "grid:write"
TAGS: Final = ("grid",)

_READING: Final = msgspec.json.Decoder(NewReading)


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
    order: Door[Any] = Door(
        method="POST",
        path=REPORTS,
        scope=WRITE,
        body=NewReport,
        prepare=_with_request_id,
        handle=_order,
        summary="Order a report; GET it with ?wait=30",
        answer=ReportOut,
        status=202,
        idempotent=True,
        tags=TAGS,
    )
    return [one, order]


async def _decode_one(asked: Asked) -> NewReading:
    try:
        return _READING.decode(asked.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        refuse(asked.body, error)


def _accept(tx: Connection, new: NewReading, _principal: Principal, now: int) -> Accepted:
    return Accepted(201, intake.accept(tx, new, now=now))


async def _with_request_id(asked: Asked) -> tuple[NewReport, str | None]:
    return asked.body, asked.request_id


def _order(tx: Connection, wanted: tuple[NewReport, str | None], principal: Principal, now: int) -> Accepted:
    new, request_id = wanted
    made = reports.order(tx, new, by=principal.actor, now=now, request_id=request_id)
    return Accepted(202, made, f"{REPORTS}/{made.id}")


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
