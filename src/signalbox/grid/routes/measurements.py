"""``GET /api/measurements``; what takes measurements in is in ``doors.py``."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime
from sqlalchemy import Connection

from signalbox.auth.security import Guard
from signalbox.core.pagination import DEFAULT_LIMIT, MAX_LIMIT, next_link
from signalbox.core.times import to_micros
from signalbox.grid import readings
from signalbox.grid.arrow import PARQUET, readings_to_parquet
from signalbox.grid.downsample import FEWEST, Method
from signalbox.grid.media import choose
from signalbox.grid.merging import Readings
from signalbox.grid.readings import Wanted
from signalbox.grid.series import LARGEST_ID, MeasurementType
from signalbox.infra.context import Context

OFFERS: Final = ("application/json", "text/csv", PARQUET)
MOST_POINTS: Final = 10_000

Find = Callable[[Connection, Wanted], Readings]

_ENCODER: Final = msgspec.json.Encoder()


def to_wanted(
    component_id: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
    measurement_type: MeasurementType | None = None,
    since: Annotated[AwareDatetime | None, Query(description="Included.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Not included.")] = None,
) -> Wanted:
    """The readings that a query asks for."""
    first = None if since is None else to_micros(since)
    return Wanted(component_id, measurement_type, first, None if until is None else to_micros(until))


def build_router(context: Context, guard: Guard) -> APIRouter:
    """The routes below ``/api/measurements``."""
    router = APIRouter(prefix="/api/measurements", tags=["grid"])

    @router.get(
        "",
        summary="Readings",
        dependencies=[Depends(guard.require("grid:read"))],
        responses={200: {"content": {media: {} for media in OFFERS}}},
    )
    async def list_readings(
        request: Request,
        wanted: Annotated[Wanted, Depends(to_wanted)],
        *,
        points: Annotated[int | None, Query(ge=FEWEST, le=MOST_POINTS, description="At most so many points.")] = None,
        method: Annotated[Method, Query(description="How they are chosen.")] = "lttb",
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        cursor: Annotated[str | None, Query(max_length=100)] = None,
    ) -> Response:
        """Readings, newest first; `Link: <...>; rel="next"` leads to the others.

        With `points`, a line of one component and type through at most so many points, oldest first. With
        `Accept: text/csv` or `application/vnd.apache.parquet`, all readings of the period by component, type and time,
        or the points of the line.
        """
        media = choose(request.headers.get("accept"), OFFERS)
        if points is not None:
            return await _export(context, partial(readings.read_points, points=points, method=method), wanted, media)
        if media != OFFERS[0]:
            return await _export(context, readings.read_period, wanted, media)
        page = await context.db.read(readings.list_readings, wanted, limit=limit, cursor=cursor)
        headers = {}
        if page.next_cursor is not None:
            headers["Link"] = next_link(request.url.path, request.url.query, page.next_cursor)
        return Response(_ENCODER.encode(page.items), media_type="application/json", headers=headers)

    return router


async def _export(context: Context, find: Find, wanted: Wanted, media: str) -> Response:
    if media == "text/csv":
        return StreamingResponse(readings.to_csv(await context.db.read(find, wanted)), media_type=media)
    encode = readings_to_parquet if media == PARQUET else _to_json
    return Response(await context.db.read(_encode, find, wanted, encode), media_type=media)


def _encode(tx: Connection, find: Find, wanted: Wanted, encode: Callable[[Readings], bytes]) -> bytes:
    """In the thread of the read: what takes long must not hold up the event loop."""
    return encode(find(tx, wanted))


def _to_json(found: Readings) -> bytes:
    return _ENCODER.encode(readings.to_out(found))
