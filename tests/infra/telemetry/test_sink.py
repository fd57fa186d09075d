import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.errors import InvalidError, UnavailableError
from signalbox.infra.telemetry import BatchSink
from tests.support.timing import PATIENCE


class Store:
    """Where batches go; fails or waits when told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.attempts = 0
        self.error: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.attempted = asyncio.Event()

    @property
    def items(self) -> list[int]:
        return [item for batch in self.batches for item in batch]

    async def write(self, batch: list[int]) -> None:
        self.attempts += 1
        self.attempted.set()
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        self.batches.append(list(batch))

    async def attempt(self) -> None:
        """Wait for the next attempt to write."""
        self.attempted.clear()
        await asyncio.wait_for(self.attempted.wait(), PATIENCE)


@pytest.fixture
async def store() -> Store:
    return Store()


def record(sink: BatchSink[int], *items: int) -> None:
    for item in items:
        sink.record(item)


async def test_what_was_recorded_is_written_once_and_in_order(store: Store) -> None:
    sink = BatchSink(store.write)
    record(sink, 1, 2, 3)
    assert (sink.waiting, store.batches) == (3, [])
    await sink.flush()
    record(sink, 4)
    await sink.flush()
    await sink.flush()
    assert store.batches == [[1, 2, 3], [4]]
    assert (sink.waiting, sink.dropped) == (0, 0)


async def test_an_open_sink_writes_by_itself_after_each_interval(store: Store) -> None:
    sink = BatchSink(store.write, interval=0.01)
    sink.open()
    for item in (1, 2):
        sink.record(item)
        await store.attempt()
    assert store.batches == [[1], [2]]
    await sink.close()


async def test_nothing_is_written_before_the_interval_has_passed(store: Store) -> None:
    sink = BatchSink(store.write, interval=60)
    sink.open()
    sink.record(1)
    await asyncio.sleep(0.02)
    assert store.attempts == 0
    await sink.close()
    assert store.batches == [[1]]


async def test_an_absent_store_keeps_items_and_gets_them_in_order_when_it_is_back(store: Store) -> None:
    sink = BatchSink(store.write)
    store.error = UnavailableError("away")
    for item in range(3):
        sink.record(item)
        await sink.flush()
    assert (store.attempts, store.batches, sink.waiting, sink.dropped) == (3, [], 3, 0)
    store.error = None
    await sink.flush()
    assert store.batches == [[0, 1, 2]]


async def test_an_open_sink_goes_on_after_failures(store: Store) -> None:
    sink = BatchSink(store.write, interval=0.01)
    sink.open()
    for error in (UnavailableError("away"), InvalidError("wrong"), None):
        store.error = error
        sink.record(1)
        await store.attempt()
    await sink.close()
    assert store.items == [1]
    assert sink.dropped == 2


async def test_what_is_over_the_capacity_is_dropped_and_counted(store: Store) -> None:
    sink = BatchSink(store.write, capacity=3)
    record(sink, *range(10))
    assert (sink.waiting, sink.dropped) == (3, 7)
    await sink.flush()
    assert store.items == [0, 1, 2]


async def test_items_count_by_their_weight(store: Store) -> None:
    sink = BatchSink(store.write, capacity=10, weigh=abs)
    sink.record_all([4, 5])
    sink.record(2)
    assert (sink.waiting, sink.dropped) == (9, 2)
    sink.record(1)
    await sink.flush()
    assert (store.items, sink.waiting, sink.dropped) == ([4, 5, 1], 0, 2)


async def test_of_items_put_back_the_newest_are_dropped(store: Store) -> None:
    sink = BatchSink(store.write, capacity=4)
    record(sink, 1, 2, 3)
    store.error = UnavailableError("away")
    store.go_on.clear()
    flushing = asyncio.create_task(sink.flush())
    await store.attempt()
    record(sink, 4, 5, 6)
    store.go_on.set()
    await flushing
    assert (sink.waiting, sink.dropped) == (4, 2)
    store.error = None
    await sink.flush()
    assert store.items == [1, 2, 3, 4]


async def test_items_that_come_during_a_write_wait_for_the_next(store: Store) -> None:
    sink = BatchSink(store.write)
    sink.record(1)
    store.go_on.clear()
    flushing = asyncio.create_task(sink.flush())
    await store.attempt()
    sink.record(2)
    second = asyncio.create_task(sink.flush())
    await asyncio.sleep(0)
    assert store.attempts == 1
    store.go_on.set()
    await asyncio.gather(flushing, second)
    assert store.batches == [[1], [2]]


async def test_two_flushes_at_once_keep_the_order_when_the_first_fails(store: Store) -> None:
    sink = BatchSink(store.write)
    sink.record(1)
    store.go_on.clear()
    store.error = UnavailableError("away")
    first = asyncio.create_task(sink.flush())
    await store.attempt()
    sink.record(2)
    second = asyncio.create_task(sink.flush())
    await asyncio.sleep(0)
    store.go_on.set()
    await asyncio.gather(first, second)
    store.error = None
    await sink.flush()
    assert store.items == [1, 2]


async def test_close_writes_what_waits(store: Store) -> None:
    sink = BatchSink(store.write)
    sink.open()
    record(sink, 1, 2)
    await sink.close()
    assert store.items == [1, 2]
    assert sink.dropped == 0


async def test_close_waits_for_the_write_under_way(store: Store) -> None:
    sink = BatchSink(store.write, interval=0.001)
    store.go_on.clear()
    sink.open()
    sink.record(1)
    await store.attempt()
    sink.record(2)
    closing = asyncio.create_task(sink.close())
    done, _ = await asyncio.wait({closing}, timeout=0.05)
    assert not done
    store.go_on.set()
    await closing
    assert store.batches == [[1], [2]]
    assert (sink.waiting, sink.dropped) == (0, 0)


@pytest.mark.parametrize("error", [UnavailableError("away"), InvalidError("wrong")])
async def test_close_counts_all_that_can_not_be_written_even_what_was_under_way(store: Store, error: Exception) -> None:
    sink = BatchSink(store.write, interval=0.001)
    store.go_on.clear()
    store.error = error
    sink.open()
    record(sink, 1, 2, 3)
    await store.attempt()
    record(sink, 4, 5)
    closing = asyncio.create_task(sink.close())
    await asyncio.sleep(0)
    store.go_on.set()
    await closing
    assert (sink.waiting, sink.dropped) == (0, 5)


async def test_a_batch_that_is_refused_for_good_is_counted_and_told(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    sink = BatchSink(store.write)
    record(sink, 1, 2, 3)
    store.error = InvalidError("wrong")
    await sink.flush()
    store.error = None
    sink.record(4)
    await sink.flush()
    assert (store.items, sink.dropped) == ([4], 3)
    assert "is lost" in caplog.text


async def test_a_caller_that_is_cancelled_does_not_stop_the_write(store: Store) -> None:
    sink = BatchSink(store.write)
    record(sink, 1, 2)
    store.go_on.clear()
    flushing = asyncio.create_task(sink.flush())
    await store.attempt()
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    store.go_on.set()
    await sink.close()
    assert store.batches == [[1, 2]]


async def test_an_absence_is_told_once_at_its_begin_and_once_at_its_end(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    sink = BatchSink(store.write)
    errors: list[Exception | None] = [None, UnavailableError("away"), UnavailableError("away"), None, None]
    with caplog.at_level(logging.INFO):
        for error in errors:
            store.error = error
            sink.record(1)
            await sink.flush()
    assert [each.levelname for each in caplog.records] == ["WARNING", "INFO"]
    assert store.items == [1] * 5


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans())), st.integers(1, 10))
def test_every_item_is_written_in_order_or_counted(steps: list[tuple[int, bool, bool]], capacity: int) -> None:
    async def run() -> None:
        store = Store()
        sink = BatchSink(store.write, capacity=capacity)
        recorded = 0
        for count, away, flushing in steps:
            record(sink, *range(recorded, recorded + count))
            recorded += count
            store.error = UnavailableError("away") if away else None
            if flushing:
                await sink.flush()
            assert sink.waiting <= capacity
        store.error = None
        await sink.close()
        assert store.items == sorted(set(store.items))
        assert len(store.items) + sink.dropped == recorded

    asyncio.run(run())
