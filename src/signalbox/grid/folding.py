"""Moving readings of the tail into chunks, no more often than it pays.

A chunk is written anew whole, so one that gets a reading a second would be rewritten all day for ten more each time. Of
today it waits until there is a sixteenth as many in the tail: then no reading is written more than some seventeen times.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from signalbox.core.times import DAY
from signalbox.grid import chunk_store
from signalbox.grid.chunk_store import Waiting
from signalbox.grid.merging import Bucket, join, repeats, sort

SHARE: Final = 16
LONGEST: Final = 50_000
"""Readings in the tail, above which the fullest buckets are moved whatever it takes: each report reads all of the tail."""
STEP: Final = 100_000
"""Readings that one step writes, or those of one bucket."""


def fold_tail(tx: Connection, *, now: int, size: int = STEP) -> int:
    """Move readings of the tail into chunks, writing about ``size`` anew; how many it were. What reports say stays."""
    chunk_store.own(tx)  # before looking: nobody adds to a chunk between
    buckets = choose(chunk_store.count_tail(tx), today=now // DAY, size=size)
    if not buckets:
        return 0
    waiting = join(chunk_store.tail_buckets(tx, buckets))
    merged, _ = sort(join([*chunk_store.read_chunks(tx, buckets), waiting]))
    chunk_store.write_chunks(tx, merged.take(~repeats(merged)))
    chunk_store.clear_tail(tx, buckets)
    return len(waiting.at)


def choose(waiting: Sequence[Waiting], *, today: int, size: int = STEP) -> list[Bucket]:
    """Which buckets are to be moved first, the fullest before others; none where it does not pay yet.

    Those of days that are over do not wait: hardly anything comes to them.
    """
    left = sum(each.fresh for each in waiting)
    enough = LONGEST // 2 if left > LONGEST else left
    chosen: list[Bucket] = []
    for each in sorted(waiting, key=lambda each: -each.fresh):
        if each.bucket.day < today or each.fresh * SHARE >= each.stored or left > enough:
            left -= each.fresh
            size -= each.fresh + each.stored
            if chosen and size < 0:
                break
            chosen.append(each.bucket)
    return chosen
