"""Statistics: the list of calls, and what they add up to."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from sqlalchemy import Connection

from signalbox.core.pagination import Page, decode_cursor, to_page
from signalbox.core.times import DAY, HOUR, MICROSECONDS, MINUTE, to_datetime, to_micros
from signalbox.gateway import call_blocks, store
from signalbox.gateway.errors import InvalidStatusFilterError, RangeTooLongError, UnknownCallError
from signalbox.gateway.schemas import Call, CallOut, Dimension, Filters, Point, Series, Step, Summary, Totals
from signalbox.gateway.store import Part
from signalbox.gateway.sums import Sums

STEPS: dict[Step, int] = {"minute": MINUTE, "hour": HOUR, "day": DAY}
MAX_POINTS = 1_500
"""Steps that one summary may span: a day of minutes, two months of hours."""
MAX_ROWS = 200_000
"""Rows of sums that one summary may read: some seconds of one thread."""

_NAMES: dict[Dimension, Callable[[Part], str]] = {
    "upstream": lambda part: part.upstream,
    "route": lambda part: part.route,
    "status": lambda part: str(part.status),
}
_NUMBERS = 2**63 - 1
"""Ids are smaller than this."""
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
    rows = call_blocks.find_calls(tx, filters, before=before, limit=limit + 1)
    page = to_page(rows, limit, lambda row: row[0])
    return Page([_call_out(number, call) for number, call in page.items], page.next_cursor)


def get_call(tx: Connection, *, number: int) -> CallOut:
    """One recorded call.

    Raises:
        UnknownCallError: there is none of this id, or it has been deleted.
    """
    call = call_blocks.find_call(tx, number) if number < _NUMBERS else None
    if call is None:
        msg = f"there is no call {number}; old calls are deleted, see retention.calls and retention.call_rows"
        raise UnknownCallError(msg)
    return _call_out(number, call)


def summarize(
    tx: Connection, filters: Filters, *, step: Step, by: Dimension, now: int, max_rows: int = MAX_ROWS
) -> Summary:
    """Totals and series of the calls that ended from ``since`` to ``until``, both widened to whole steps.

    Raises:
        RangeTooLongError: the range holds over ``MAX_POINTS`` steps or ``max_rows`` rows of sums, or ends before
            it begins.
    """
    filters, parts = find_parts(tx, filters, step=step, now=now, max_rows=max_rows)
    groups = _grouped(parts, STEPS[step], _NAMES[by])
    return Summary(
        since=to_datetime(filters.since or 0),
        until=to_datetime(filters.until or 0),
        step=step,
        by=by,
        totals=add_up(tally for points in groups.values() for tally in points.values()).totals(),
        series=[Series(name=name, points=_points(tallies)) for name, tallies in sorted(groups.items())],
    )


def find_parts(
    tx: Connection, filters: Filters, *, step: Step, now: int, max_rows: int = MAX_ROWS
) -> tuple[Filters, Iterator[Part]]:
    """The filters with ``since`` and ``until`` set and widened to whole steps, and the sums that fit, while they are read.

    Without ``since``, the last 60 steps.

    Raises:
        RangeTooLongError: as ``summarize``.
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
    filters = filters._replace(since=since, until=until)
    hours = step != "minute"
    if store.count_sums(tx, filters, hours=hours, limit=max_rows) > max_rows:
        msg = f"this needs more than {max_rows} rows of sums; take less time, a filter or a longer step"
        raise RangeTooLongError(msg)
    return filters, store.find_sums(tx, filters, hours=hours)


class Tally:
    """Sums, and how many of their calls succeeded."""

    __slots__ = ("succeeded", "sums")

    def __init__(self) -> None:
        self.succeeded = 0
        self.sums = Sums()

    def merge(self, sums: Sums, *, succeeded: int) -> None:
        """Add sums of calls of which so many succeeded."""
        self.succeeded += succeeded
        self.sums.merge(sums)

    def totals(self) -> Totals:
        """What they add up to."""
        sums, calls = self.sums, self.sums.count
        p50, p95, p99 = map(_seconds, sums.latency.quantiles(0.5, 0.95, 0.99))
        return Totals(
            calls=calls,
            succeeded=self.succeeded,
            success_rate=self.succeeded / calls if calls else None,
            mean_seconds=_seconds(sums.micros / calls) if calls else None,
            p50_seconds=p50,
            p95_seconds=p95,
            p99_seconds=p99,
            request_bytes=sums.request_bytes,
            response_bytes=sums.response_bytes,
        )


def _grouped(parts: Iterable[Part], size: int, name_of: Callable[[Part], str]) -> dict[str, dict[int, Tally]]:
    """Tallies by series and step; takes parts one by one, since they may be far more than the tallies."""
    groups: dict[str, dict[int, Tally]] = {}
    for part in parts:
        points = groups.setdefault(name_of(part), {})
        tally = points.setdefault(part.start // size * size, Tally())
        tally.merge(part.sums, succeeded=part.sums.count if part.status < call_blocks.FAILED else 0)
    return groups


def add_up(tallies: Iterable[Tally]) -> Tally:
    """Several tallies as one."""
    added = Tally()
    for tally in tallies:
        added.merge(tally.sums, succeeded=tally.succeeded)
    return added


def _points(tallies: dict[int, Tally]) -> list[Point]:
    return [Point(start=to_datetime(start), totals=tally.totals()) for start, tally in sorted(tallies.items())]


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
