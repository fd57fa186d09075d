"""Statistics: the list of calls, and what they add up to."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection

from signalbox.core.pagination import Page, decode_cursor, to_page
from signalbox.core.times import DAY, HOUR, MICROSECONDS, MINUTE, to_datetime, to_micros
from signalbox.gateway import store
from signalbox.gateway.errors import InvalidStatusFilterError, RangeTooLongError
from signalbox.gateway.schemas import Call, CallOut, Dimension, Filters, Point, Series, Step, Summary, Totals
from signalbox.gateway.store import Minute
from signalbox.infra.telemetry import Histogram

STEPS: dict[Step, int] = {"minute": MINUTE, "hour": HOUR, "day": DAY}
MAX_POINTS = 1_500
"""Steps that one summary may span: a day of minutes, two months of hours."""

_LATEST = to_micros(datetime(9999, 12, 31, tzinfo=UTC))
_STATUS = re.compile(r"([1-5])xx|([1-5]\d\d)")


def parse_status(text: str) -> tuple[int, int]:
    """First and last status of ``404`` or ``5xx``.

    Raises:
        InvalidStatusFilterError: the text is neither.
    """
    match = _STATUS.fullmatch(text.lower())
    if match is None:
        msg = f"{text!r} is no status; write a code such as 404 or a class such as 5xx"
        raise InvalidStatusFilterError(msg)
    if match[1]:
        return int(match[1]) * 100, int(match[1]) * 100 + 99
    return int(match[2]), int(match[2])


def list_calls(tx: Connection, filters: Filters, *, cursor: str | None, limit: int) -> Page[CallOut]:
    """Recorded calls, newest first.

    Raises:
        InvalidCursorError: the cursor is not of this list.
    """
    before = None if cursor is None else decode_cursor(cursor)
    rows = store.find_calls(tx, filters, before=before, limit=limit + 1)
    page = to_page(rows, limit, lambda row: row[0])
    return Page([_call_out(number, call) for number, call in page.items], page.next_cursor)


def summarize(tx: Connection, filters: Filters, *, step: Step, by: Dimension, now: int) -> Summary:
    """Totals and series of the calls that ended from ``since`` to ``until``, both widened to whole steps.

    Raises:
        RangeTooLongError: the range holds over ``MAX_POINTS`` steps, or ends before it begins.
    """
    size = STEPS[step]
    until = -(-(now + 1 if filters.until is None else filters.until) // size) * size
    since = (filters.since // size) * size if filters.since is not None else until - 60 * size
    if not 0 < (until - since) // size <= MAX_POINTS:
        msg = f"from since to until there must be 1 to {MAX_POINTS} steps of a {step}; take a longer step or less time"
        raise RangeTooLongError(msg)
    if since < 0 or until > _LATEST:
        msg = f"since and until, widened to whole steps of a {step}, must lie between the years 1970 and 9999"
        raise RangeTooLongError(msg)
    minutes = store.find_minutes(tx, filters._replace(since=since, until=until))
    names: dict[Dimension, Callable[[Minute], str]] = {
        "upstream": lambda row: row.upstream,
        "route": lambda row: row.route,
        "status": lambda row: str(row.status),
    }
    groups: dict[str, list[Minute]] = {}
    for row in minutes:
        groups.setdefault(names[by](row), []).append(row)
    return Summary(
        since=to_datetime(since),
        until=to_datetime(until),
        step=step,
        by=by,
        totals=_totals(minutes),
        series=[Series(name=name, points=_points(rows, size)) for name, rows in sorted(groups.items())],
    )


def _points(rows: Iterable[Minute], size: int) -> list[Point]:
    steps: dict[int, list[Minute]] = {}
    for row in rows:
        steps.setdefault(row.minute // size * size, []).append(row)
    return [Point(start=to_datetime(start), totals=_totals(part)) for start, part in sorted(steps.items())]


def _totals(rows: Iterable[Minute]) -> Totals:
    latency = Histogram()
    calls = succeeded = micros = request_bytes = response_bytes = 0
    for row in rows:
        latency.merge(row.latency)
        calls += row.calls
        succeeded += row.calls if row.status < store.FAILED else 0
        micros += row.micros
        request_bytes += row.request_bytes
        response_bytes += row.response_bytes
    p50, p95, p99 = map(_seconds, latency.quantiles(0.5, 0.95, 0.99))
    return Totals(
        calls=calls,
        succeeded=succeeded,
        success_rate=succeeded / calls if calls else None,
        mean_seconds=_seconds(micros / calls) if calls else None,
        p50_seconds=p50,
        p95_seconds=p95,
        p99_seconds=p99,
        request_bytes=request_bytes,
        response_bytes=response_bytes,
    )


def _seconds(micros: float | None) -> float | None:
    """Seconds to the microsecond, which is all that was measured."""
    return None if micros is None else round(micros) / MICROSECONDS


def _call_out(number: int, call: Call) -> CallOut:
    return CallOut(
        id=number,
        path=call.path,
        status_code=call.status,
        seconds=call.micros / MICROSECONDS,
        created_at=to_datetime(call.created_at),
        method=call.method,
        route=call.route,
        upstream=call.upstream or None,
        request_bytes=call.request_bytes,
        response_bytes=call.response_bytes,
        client=call.client,
        app=call.app,
        request_id=call.request_id,
    )
