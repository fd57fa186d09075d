import asyncio

from signalbox.criticality.runtime import CHANNEL, CriticalityRuntime
from signalbox.criticality.service.report import Report, report
from signalbox.infra.context import Context
from tests.criticality.conftest import SETTINGS, START, silent, until

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


async def test_a_change_that_nobody_told_of_is_found_within_a_second(runtime: CriticalityRuntime) -> None:
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


async def test_two_asks_wait_and_one_is_told(runtime: CriticalityRuntime) -> None:
    with runtime.waiters.join("default") as waiter:
        await put(runtime, 3)
        assert await waiter.wait(10) == 1
    found = await asyncio.gather(runtime.ask(A), runtime.ask(A))
    assert sum(each is not None for each in found) == 1


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
