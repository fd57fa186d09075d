import sqlalchemy as sa

from signalbox.criticality import store
from signalbox.criticality.counter import AskCounter
from signalbox.criticality.models import consumer
from signalbox.criticality.schemas import NewConsumer
from signalbox.criticality.service import consumers
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context

A, B = ("a", "default"), ("b", "default")


async def requests(context: Context) -> dict[str, int]:
    rows = await context.db.read(lambda tx: tx.execute(sa.select(consumer.c.app, consumer.c.requests)).all())
    return {row.app: row.requests for row in rows}


async def asks(context: Context, app: str | None = None) -> list[int]:
    page = await context.calls_db.read(consumers.list_asks, app=app, name=None, cursor=None, limit=10)
    return [each.asks for each in page.items]


async def test_asks_are_counted_by_app_and_minute(context: Context, clock: ManualClock) -> None:
    counter = AskCounter(context)
    for pair in (A, A, B):
        counter.add(pair)
    await counter.flush()
    counter.add(A)
    await counter.flush()
    clock.advance(60)
    counter.add(B)
    await counter.flush()
    assert await requests(context) == {"a": 3, "b": 2}
    assert await asks(context) == [1, 4]
    assert await asks(context, "a") == [3]


async def test_who_asked_is_written_before_the_sums_of_minutes(context: Context) -> None:
    counter = AskCounter(context)
    counter.add(A)
    await counter.flush(minutes=False)
    assert (await requests(context), await asks(context)) == ({"a": 1}, [])
    await counter.flush()
    assert (await requests(context), await asks(context)) == ({"a": 1}, [1])


async def test_who_waits_is_seen_without_asking_if_anybody_minds(context: Context, clock: ManualClock) -> None:
    counter = AskCounter(context, present=lambda: [A, B, ("never-asked", "default")])
    new = NewConsumer(app="a", interval="1s")
    await context.db.write(consumers.register, new, actor="test", now=clock.now())
    counter.add(B)
    for _ in range(3):
        clock.advance(2)
        await counter.flush()
    rows = await context.db.read(lambda tx: tx.execute(sa.select(consumer)).mappings().all())
    seen = {row["app"]: (row["requests"], clock.now() - row["last_asked_at"], row["overdue_at"]) for row in rows}
    assert seen["a"] == (0, 0, clock.now() + 1_000_000)
    assert seen["b"] == (1, 4_000_000, None), "nobody minds: nothing is written"
    assert await asks(context) == [1]


async def test_processes_add_up(context: Context) -> None:
    counters = [AskCounter(context), AskCounter(context)]
    for counter in counters:
        counter.add(A)
        await counter.flush()
        await counter.flush()
    assert await requests(context) == {"a": 2}
    assert await asks(context) == [2]


async def test_what_cannot_be_written_is_kept_and_bounded(context: Context) -> None:
    counter = AskCounter(context, max_pairs=2)
    await context.db.close()
    for app in "aabc":
        counter.add((app, "default"))
        await counter.flush()
    assert counter.dropped == 1
    assert {pair[0]: asked.requests for pair, asked in counter._waiting.items()} == {"a": 2, "b": 1}


async def test_what_waits_is_written_at_the_end(context: Context) -> None:
    counter = AskCounter(context)
    await counter.open()
    counter.add(A)
    await counter.close()
    assert await requests(context) == {"a": 1}
    assert await asks(context) == [1]


async def test_minutes_are_dropped_from_memory_once_written_and_swept_once_old(
    context: Context, clock: ManualClock
) -> None:
    counter = AskCounter(context)
    for _ in range(3):
        counter.add(A)
        await counter.flush()
        clock.advance(60)
    await counter.flush()
    assert counter._minutes == {}
    assert await context.calls_db.write(store.delete_asks, older_than=clock.now() - 100_000_000, limit=1) == 1
    assert await asks(context) == [1, 1]


async def test_metrics_count_by_signal(context: Context) -> None:
    counter = AskCounter(context)
    for pair in (A, B, ("a", "x")):
        counter.add(pair)
    (family, _) = counter.collect()
    assert {each.labels["signal"]: each.value for each in family.samples} == {"default": 2, "x": 1}
