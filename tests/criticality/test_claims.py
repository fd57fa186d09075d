import asyncio

import pytest

from signalbox.criticality.claims import Claimer
from signalbox.criticality.service.report import Report, report
from signalbox.infra.context import Context
from tests.criticality.conftest import SETTINGS, START, cancel, silent


async def put(context: Context, signal: str = "s") -> None:
    what = Report(signal, 3, START, "p")
    await context.db.write(report, what, settings=SETTINGS, announce=silent, now=START)


async def test_each_app_is_one_callers(context: Context) -> None:
    await put(context)
    claimer = Claimer(context)
    answers = await asyncio.gather(*(claimer.claim((app, "s")) for app in "abab" * 5))
    assert [won for _, won in answers] == [True, True] + [False] * 18
    assert {current.revision for current, _ in answers if current} == {1}
    assert [won for _, won in await asyncio.gather(*(claimer.claim((app, "s")) for app in "abc"))] == [0, 0, 1]


async def test_a_signal_without_a_level_is_nobodys(context: Context) -> None:
    assert await Claimer(context).claim(("a", "none")) == (None, False)


async def test_a_caller_that_left_leaves_the_change_to_the_next(context: Context) -> None:
    await put(context)
    claimer = Claimer(context)
    gone = asyncio.create_task(claimer.claim(("a", "s")))
    stays = asyncio.create_task(claimer.claim(("a", "s")))
    await asyncio.sleep(0)
    await cancel(gone)
    assert (await stays)[1]


async def test_a_database_that_is_away_is_told_to_all_and_does_not_end_claiming(context: Context) -> None:
    claimer = Claimer(context)
    await context.db.close()
    for _ in range(2):
        answers = await asyncio.gather(*(claimer.claim((app, "s")) for app in "ab"), return_exceptions=True)
        assert {type(each).__name__ for each in answers} == {"DatabaseUnavailableError"}
    await claimer.close()


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_thousands_are_claimed_together(context: Context) -> None:
    await put(context)
    claimer = Claimer(context)
    answers = await asyncio.gather(*(claimer.claim((f"app-{number}", "s")) for number in range(3_000)))
    assert all(won for _, won in answers)
