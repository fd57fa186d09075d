import asyncio
from dataclasses import replace

import pytest

from signalbox.criticality.runtime import CHANNEL, PATIENCE, CriticalityRuntime
from signalbox.criticality.service.ask import claim
from signalbox.criticality.service.report import Report, report
from signalbox.infra.context import Context
from tests.criticality.conftest import SETTINGS, START, silent
from tests.support.databases import PostgresqlPlace
from tests.support.timing import until
from tests.support.wire import Wire

A = ("a", "default")


async def put(runtime: CriticalityRuntime, level: int, *, tell: bool = True) -> None:
    what = Report("default", level, START + level, "p")
    announce = runtime.announce if tell else silent
    await runtime.context.db.write(report, what, settings=SETTINGS, announce=announce, now=START)


async def test_a_change_is_known_before_its_report_is_answered(runtime: CriticalityRuntime) -> None:
    assert runtime.has_nothing_for(A)
    await put(runtime, 3)
    assert not runtime.has_nothing_for(A)
    found = await runtime.ask(A)
    assert found is not None
    assert found.current.level == 3
    assert runtime.has_nothing_for(A)


async def test_a_change_that_nobody_told_of_is_found(runtime: CriticalityRuntime) -> None:
    await put(runtime, 3, tell=False)
    await until(lambda: not runtime.has_nothing_for(A))


async def test_messages_that_may_have_been_missed_are_made_up_for(runtime: CriticalityRuntime) -> None:
    await put(runtime, 3, tell=False)
    for message in (None, "{}"):
        runtime._hear(message)
        assert not runtime.is_fresh
        assert not runtime.has_nothing_for(A), "memory is not trusted meanwhile"
        await until(lambda: runtime.is_fresh)
    assert runtime.view.known["default"].revision == 1


async def test_without_the_database_only_what_is_known_to_be_nothing_is_answered(runtime: CriticalityRuntime) -> None:
    await put(runtime, 3)
    await runtime.ask(A)
    await runtime.context.db.close()
    await runtime.synchronise()
    assert not runtime.has_nothing_for(A)


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_memory_is_not_trusted_while_the_database_is_silent(place: PostgresqlPlace, context: Context) -> None:
    wire = Wire(place)
    async with wire.open() as behind:
        database = behind.open()
        runtime = CriticalityRuntime(replace(context, db=database), SETTINGS)
        await runtime.open()
        assert runtime.has_nothing_for(A)
        wire.cut = True
        await until(lambda: not runtime.is_fresh, within=PATIENCE + 6)  # the driver alone would wait for 10 s
        wire.cut = False
        await until(lambda: runtime.has_nothing_for(A))
        await runtime.close()
    await database.close()


async def test_of_two_asks_of_an_app_that_wait_one_is_told(runtime: CriticalityRuntime) -> None:
    waiting = [asyncio.create_task(runtime.wait(A, None, seconds)) for seconds in (10, 0.5)]
    other = asyncio.create_task(runtime.wait(("b", "default"), None, 10))
    await until(lambda: len(runtime.crowd) == 3)
    await put(runtime, 3)
    found = await asyncio.gather(*waiting, other)
    assert [each.revision for each in found if each is not None] == [1, 1]
    assert found[2] is not None
    assert len(runtime.crowd) == 0


async def test_a_change_while_an_ask_is_under_way_is_not_missed(runtime: CriticalityRuntime) -> None:
    for level in range(1, 6):
        waiting = asyncio.create_task(runtime.wait(A, None, 10))
        await asyncio.sleep(0)
        await put(runtime, level)
        found = await waiting
        assert found is not None
        assert found.current.level == level


async def test_a_revision_that_was_never_given_is_answered_with_what_is_current(runtime: CriticalityRuntime) -> None:
    """The client's database was restored from an older copy; it must not wait until that has caught up."""
    assert await runtime.ask(A, since=7) is None
    await put(runtime, 3)
    for _ in range(2):
        found = await runtime.wait(A, 7, 10)
        assert found is not None
        assert found.revision == 1
    assert await runtime.ask(A, since=1) is None


async def test_what_another_process_has_told_of_is_no_other_database(runtime: CriticalityRuntime) -> None:
    """Memory here is behind, the client is not: the database decides."""
    await put(runtime, 3)
    await runtime.ask(A)
    await put(runtime, 4, tell=False)
    await runtime.context.db.write(claim, [A], now=START)
    assert await runtime.ask(A, since=2) is None


async def test_metrics_show_levels(runtime: CriticalityRuntime, context: Context) -> None:
    await put(runtime, 3)
    await runtime.ask(A)
    text = context.metrics.render().decode()
    assert 'signalbox_criticality_level{signal="default"} 3.0' in text
    assert "signalbox_criticality_told_total 1.0" in text


async def test_one_that_only_works_follows_nothing(context: Context) -> None:
    runtime = CriticalityRuntime(context, SETTINGS, serves=False)
    await runtime.open()
    assert CHANNEL == "criticality"
    await runtime.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_it_ends_in_time_though_the_database_does_not_answer(place: PostgresqlPlace, context: Context) -> None:
    wire = Wire(place)
    async with wire.open() as behind:
        database = behind.open()
        runtime = CriticalityRuntime(replace(context, db=database), SETTINGS, last_words=0.05)
        await runtime.open()
        waiting = asyncio.create_task(runtime.wait(A, None, 60))
        await until(lambda: len(runtime.crowd) == 1)
        wire.cut = True
        runtime.crowd.stir("default")
        await runtime.close()
        assert not waiting.done(), "the driver alone would wait for 10 s, and then fail"
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    await database.close()
