"""Calls as they are kept: packed by the hundred into one row.

To bind twelve values for each call costs more than anything else that statistics do, so a *block* holds up to ``SIZE``
calls of one process in the order in which they ended: one byte, the version of the format (1), then MessagePack, an
array of calls, each an array of the values of ``Call`` in their order. What a search needs to pass a block over stands
beside it in columns.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Subquery, delete, func, insert, select

from signalbox.gateway.models import call_block
from signalbox.gateway.schemas import Call, CallRow, Filters
from signalbox.gateway.sums import CREATED_AT

Block = dict[str, Any]
"""A row of ``call_block`` without its id; ``calls`` is the number of its calls."""

FAILED = 400
"""Lowest status of a failed call."""

SIZE = 512
"""Calls in a block at most."""

_PATH: Final = 1
_ROUTE: Final = 2
_UPSTREAM: Final = 3
_METHOD: Final = 4
_STATUS: Final = 5
_NUMBERS = 4_096
"""Ids that a block has for its calls: the first is its own id times as many."""

_VERSION = b"\x01"
_FEWEST, _MOST = 4, 64
"""Blocks that are read at a time: few at first, since most lists end with the newest calls."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[CallRow]).decode  # not of Call: making named ones takes several times as long
_INSERT = insert(call_block)

_Test = Callable[[CallRow], bool]


def pack(calls: Sequence[CallRow]) -> list[Block]:
    """Calls as blocks.

    To pack 500 takes some 0.2 ms where they have just been made; in another thread, half a second later, several times
    as long, and the event loop waits for that thread meanwhile.
    """
    return [_to_row(calls[start : start + SIZE]) for start in range(0, len(calls), SIZE)]


def insert_blocks(tx: Connection, blocks: Sequence[Block]) -> None:
    """Keep the calls of blocks."""
    if blocks:
        tx.execute(_INSERT, list(blocks))


def find_calls(tx: Connection, filters: Filters, *, before: int | None, limit: int) -> list[tuple[int, Call]]:
    """Calls with their ids, newest first, at most ``limit``, with ids below ``before``."""
    found: list[tuple[int, Call]] = []
    tests, words = _tests(filters), _words(filters)
    for block, content in _blocks(tx, filters, before):
        if not all(word in content for word in words):
            continue
        calls = list(enumerate(_unpack(content), block * _NUMBERS))
        for test in tests:
            calls = [(number, call) for number, call in calls if test(call)]
        newest = [(number, Call._make(call)) for number, call in reversed(calls) if before is None or number < before]
        found += newest[: limit - len(found)]
        if len(found) == limit:
            break
    return found


def find_call(tx: Connection, number: int) -> Call | None:
    """The call with this id; None where there is none, or none any more."""
    found = find_calls(tx, Filters(), before=number + 1, limit=1)
    return found[0][1] if found and found[0][0] == number else None


def delete_calls(tx: Connection, *, older_than: int, keep: int, limit: int) -> int:
    """Delete the oldest blocks whose calls are all too old or over ``keep`` in number, until ``limit`` calls are gone.

    Returns:
        How many calls that were.
    """
    spare = (tx.execute(select(func.sum(call_block.c.calls))).scalar_one() or 0) - keep
    by_number, by_age = _oldest(call_block.c.id, limit), _oldest(call_block.c.last_at, limit)
    over = select(by_number.c.id).where(by_number.c.until <= spare, by_number.c.until - by_number.c.calls < limit)
    aged = select(by_age.c.id).where(by_age.c.last_at < older_than, by_age.c.until - by_age.c.calls < limit)
    gone = 0
    for doomed in (over, aged):
        if not gone:
            taken = delete(call_block).where(call_block.c.id.in_(doomed)).returning(call_block.c.calls)
            gone = sum(tx.execute(taken).scalars())
    return gone


def _to_row(calls: Sequence[CallRow]) -> Block:
    times = [call[CREATED_AT] for call in calls]
    failed = [call[_STATUS] for call in calls if call[_STATUS] >= FAILED]
    return {
        "first_at": min(times),
        "last_at": max(times),
        "calls": len(calls),
        "failed_from": min(failed, default=None),
        "failed_to": max(failed, default=None),
        "content": _VERSION + _encode(calls),
    }


def _unpack(content: bytes) -> list[CallRow]:
    return _decode(memoryview(content)[len(_VERSION) :])


def _blocks(tx: Connection, filters: Filters, before: int | None) -> Iterator[tuple[int, bytes]]:
    """Ids and contents of the blocks that may hold what is sought, newest first; as few at a time as may do."""
    query = select(call_block.c.id, call_block.c.content).where(*_conditions(filters)).order_by(call_block.c.id.desc())
    last = None if before is None else (before - 1) // _NUMBERS + 1
    size = _FEWEST
    while True:
        part = query if last is None else query.where(call_block.c.id < last)
        rows = tx.execute(part.limit(size)).all()
        yield from ((row[0], row[1]) for row in rows)
        if len(rows) < size:
            return
        last, size = rows[-1][0], min(2 * size, _MOST)


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.since is not None:
        conditions.append(call_block.c.last_at >= filters.since)
    if filters.until is not None:
        conditions.append(call_block.c.first_at < filters.until)
    if filters.status is not None and filters.status[0] >= FAILED:
        lowest, highest = filters.status
        conditions += [call_block.c.failed_to >= lowest, call_block.c.failed_from <= highest]
    return conditions


def _words(filters: Filters) -> list[bytes]:
    """What stands in every block that holds what is sought: to look for it costs far less than to unpack."""
    wanted = [filters.path_prefix, *(value for _, value in _kind(filters))]
    return [word.encode(errors="surrogatepass") for word in wanted if word]


def _tests(filters: Filters) -> list[_Test]:
    """What a call must pass."""
    tests: list[_Test] = []
    since, until, status, prefix = filters.since, filters.until, filters.status, filters.path_prefix
    if status is not None:
        lowest, highest = status
        tests.append(lambda call: lowest <= call[_STATUS] <= highest)
    tests += [_equal(place, value) for place, value in _kind(filters) if value is not None]
    if prefix is not None:
        tests.append(lambda call: call[_PATH].startswith(prefix))
    if since is not None:
        tests.append(lambda call: call[CREATED_AT] >= since)
    if until is not None:
        tests.append(lambda call: call[CREATED_AT] < until)
    return tests


def _kind(filters: Filters) -> list[tuple[int, str | None]]:
    return [(_ROUTE, filters.route), (_UPSTREAM, filters.upstream), (_METHOD, filters.method)]


def _equal(place: int, value: str) -> _Test:
    return lambda call: call[place] == value


def _oldest(order: ColumnElement[int], limit: int) -> Subquery:
    """The oldest blocks by some order, each with the number of calls in it and those before it."""
    until = func.sum(call_block.c.calls).over(order_by=(order, call_block.c.id)).label("until")
    columns = (call_block.c.id, call_block.c.last_at, call_block.c.calls)
    return select(*columns, until).order_by(order, call_block.c.id).limit(limit).subquery()
