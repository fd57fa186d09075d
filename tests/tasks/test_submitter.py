"""The submit pump: what is sent, when, and what becomes of it."""

import asyncio

import pytest
import sqlalchemy as sa

from signalbox.infra.context import Context
from signalbox.tasks import pump
from signalbox.tasks.models import task as table
from signalbox.tasks.providers import Receipt, SubmitRefusedError
from tests.support.databases import Place, PostgresqlPlace, PostgresqlServer
from tests.support.task_world import NAME, SECOND, ScriptedProvider, TaskWorld


def refusal(
    message: str = "no", *, permanent: bool = False, retry_after: float | None = None, sent: bool = False
) -> SubmitRefusedError:
    return SubmitRefusedError(message, permanent=permanent, retry_after=retry_after, sent=sent)


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def world(context: Context, provider: ScriptedProvider) -> TaskWorld:
    return TaskWorld(context, provider)


async def test_a_task_is_submitted_with_its_payload_and_polled_from_then_on(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    made = await world.hand_over(payload={"a": "b\0"})
    await world.run()
    found = await world.task(made.id)
    (sent,) = provider.submissions
    assert (sent.id, sent.reference, sent.payload, sent.attempt) == (made.id, made.reference, {"a": "b\0"}, 1)
    assert (found.status, found.phase, found.external_id) == ("In Progress", "submitted", f"x{made.id}")
    (job,) = await world.jobs()
    assert (job.kind, job.due_at) == (pump.POLL, world.now + 10 * SECOND)
    assert [(each.status_to, each.source) for each in await world.history(made.id)] == [
        ("Not Started", "client"),
        ("In Progress", "submit"),
    ]


async def test_a_task_is_submitted_once_however_often_the_pump_runs(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    await world.hand_over()
    await world.run()
    await world.hand_over()
    await world.run()
    assert len(provider.submissions) == 2


async def test_a_refusal_for_good_is_an_error_at_once(world: TaskWorld, provider: ScriptedProvider) -> None:
    provider.answer = lambda _: refusal("Invalid IP range", permanent=True)
    made = await world.hand_over()
    await world.run()
    found = await world.task(made.id)
    assert (found.status, found.validation_error, found.phase) == ("Error", "Invalid IP range", "done")
    (event,) = await world.events("task.error")
    assert (event["id"], event["reason"]) == (made.id, "Invalid IP range")
    assert await world.jobs() == []


async def test_a_failure_that_may_pass_is_repeated_after_a_back_off_and_ends_dead(
    context: Context, provider: ScriptedProvider
) -> None:
    world = TaskWorld(context, provider, max_attempts=3)
    provider.answer = lambda _: refusal("out of order")
    made, other = await world.hand_over(), None
    await world.run()
    found = await world.task(made.id)
    assert (found.phase, found.attempts) == ("queued", 1)
    assert world.now <= found.next_at <= world.now + SECOND
    await world.run_for(10)
    found = await world.task(made.id)
    assert (found.status, found.validation_error, found.attempts) == ("Error", "out of order", 3)
    assert [each["id"] for each in await world.events("task.dead")] == [made.id]
    provider.answer = provider.take
    other = await world.hand_over()
    await world.run()
    assert (await world.task(other.id)).phase == "submitted"


async def test_a_task_in_back_off_does_not_delay_a_new_one(world: TaskWorld, provider: ScriptedProvider) -> None:
    provider.answer = lambda _: refusal()
    first = await world.hand_over()
    await world.run()
    await world.execute(sa.update(table).values(next_at=world.now + 100 * SECOND))
    provider.answer = provider.take
    second = await world.hand_over()
    await world.run()
    assert (await world.task(second.id)).phase == "submitted"
    assert (await world.task(first.id)).phase == "queued"


async def test_retry_after_pauses_the_host_and_does_not_count(context: Context) -> None:
    provider = ScriptedProvider(limits=["100/1s"])
    world = TaskWorld(context, provider)
    provider.answer = lambda _: refusal("slow down", retry_after=30)
    made = await world.hand_over()
    await world.run()
    assert len(provider.submissions) == 1
    found = await world.task(made.id)
    assert (found.phase, found.attempts) == ("queued", 0)
    provider.answer = provider.take
    await world.hand_over()
    await world.run_for(29)
    assert len(provider.submissions) == 1, "nothing goes to the host before"
    await world.run_for(3)
    assert len(provider.submissions) == 3


async def test_no_more_are_sent_than_permits(context: Context) -> None:
    provider = ScriptedProvider(limits=["3/10s"])
    world = TaskWorld(context, provider)
    await world.fill(7)
    await world.run()
    assert len(provider.submissions) == 3
    (job,) = await world.jobs(pump.SUBMIT)
    assert job.state == "waiting", "a pump that waits for permits holds no lease"
    assert job.due_at >= world.now + 9 * SECOND
    if context.db.dialect == "postgresql":
        return  # permits are counted by the server's clock, which no test moves
    await world.run_for(11)
    assert (len(provider.submissions), len(provider.polls)) == (5, 1), "polls count too"
    await world.run_for(11)
    assert len({each.id for each in provider.submissions}) == 7


async def test_a_limit_of_a_day_that_is_raised_holds_within_a_minute(context: Context) -> None:
    provider = ScriptedProvider(limits=["3/1d"])
    world = TaskWorld(context, provider)
    await world.fill(7)
    await world.run()
    assert len(provider.submissions) == 3
    provider.limits = ScriptedProvider(limits=["100/1d"]).limits
    await world.run_for(61)
    assert len(provider.submissions) == 7


async def test_what_came_of_calls_outlasts_a_database_that_is_away(
    context: Context, place: Place, postgresql_server: PostgresqlServer, caplog: pytest.LogCaptureFixture
) -> None:
    if not isinstance(place, PostgresqlPlace):
        pytest.skip("a file is not away")
    provider = ScriptedProvider(can_look_up=False)
    provider.gate = asyncio.Event()
    world = TaskWorld(context, provider)
    made = await world.hand_over()
    (job,) = await world.claim()
    run = asyncio.create_task(world.pumps.submit(job))
    async with asyncio.timeout(30):
        while not provider.submissions:
            await asyncio.sleep(0.01)
        with postgresql_server.closed(place):
            provider.gate.set()
            while "submissions wait to be recorded" not in caplog.text:
                await asyncio.sleep(0.01)
        await run
    found = await world.task(made.id)
    assert (found.status, found.phase, found.attempts) == ("In Progress", "submitted", 1)


async def test_apps_are_served_by_turns(context: Context) -> None:
    provider = ScriptedProvider(limits=["4/1000s"])
    world = TaskWorld(context, provider)
    many = await world.fill(10_000, app="many")
    one = await world.hand_over(app="one")
    await world.run()
    assert [each.id for each in provider.submissions] == [many[0], one.id, many[1], many[2]]


async def test_a_permit_that_is_too_old_is_not_used_and_the_task_not_lost(context: Context) -> None:
    provider = ScriptedProvider(limits=["1000/1s"])
    world = TaskWorld(context, provider)
    world.pumps = world.pumps._replace(margin=-1)  # every permit is too old by then, until more time is asked for
    await world.fill(3)
    await world.run()
    assert len(provider.submissions) == 3
    assert {each.attempts for each in await world.tasks()} == {1}


async def test_a_call_whose_connection_comes_too_late_is_not_sent_and_does_not_count(context: Context) -> None:
    provider = ScriptedProvider(limits=["1000/1s"])
    provider.connects_in = 1.0
    world = TaskWorld(context, provider)
    await world.fill(3)
    await world.run()
    assert provider.late >= 3, "the margin is a tenth of a second"
    assert len(provider.submissions) == 3, "permits are taken for longer then"
    assert {each.attempts for each in await world.tasks()} == {1}


async def test_without_a_limit_no_call_is_too_late(context: Context) -> None:
    provider = ScriptedProvider()
    provider.connects_in = 1.0
    world = TaskWorld(context, provider)
    await world.fill(3)
    await world.run()
    assert (provider.late, len(provider.submissions)) == (0, 3)


async def test_too_many_without_retry_after_pauses_the_host_for_a_back_off(context: Context) -> None:
    provider = ScriptedProvider(limits=["100/1s"])
    world = TaskWorld(context, provider)
    provider.answer = lambda _: SubmitRefusedError("slow down", permanent=False, too_many=True, sent=False)
    await world.hand_over()
    await world.run()
    paused_until = await world.db.read(context.budgets.paused_until, provider.host)
    assert paused_until is not None
    assert world.now + SECOND // 2 <= paused_until <= world.now + SECOND
    provider.answer = provider.take
    await world.hand_over()
    await world.run()
    assert len(provider.submissions) == 1, "nobody calls meanwhile"
    await world.run_for(3)
    assert len(provider.submissions) == 3
    assert sorted(each.attempts for each in await world.tasks()) == [1, 2]


async def test_an_answer_that_never_came_is_looked_up_and_not_sent_twice(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    def lost(task: object) -> Exception:
        provider.take(task)  # type: ignore[arg-type]
        return refusal("the connection broke", sent=True)

    provider.answer = lost
    made = await world.hand_over()
    await world.run()
    await world.run_for(2)
    found = await world.task(made.id)
    assert (found.phase, found.external_id) == ("submitted", f"x{made.id}")
    assert len(provider.submissions) == 1
    assert provider.look_ups == [made.reference]


async def test_what_certainly_has_not_arrived_is_sent_again_with_the_same_reference(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    provider.answer = lambda _: refusal("the connection broke", sent=True)
    made = await world.hand_over()
    await world.run()
    provider.answer = provider.take
    await world.run_for(9)
    assert len(provider.submissions) == 1, "a call may still be on its way"
    await world.run_for(3)
    assert [each.reference for each in provider.submissions] == [made.reference] * 2
    assert (await world.task(made.id)).phase == "submitted"


async def test_an_idempotent_provider_is_sent_it_again(context: Context) -> None:
    provider = ScriptedProvider(can_look_up=False, is_idempotent=True)
    world = TaskWorld(context, provider)
    provider.answer = lambda _: refusal("no answer", sent=True)
    made = await world.hand_over()
    await world.run()
    provider.answer = provider.take
    await world.run_for(2)
    assert [each.reference for each in provider.submissions] == [made.reference] * 2
    assert (await world.task(made.id)).phase == "submitted"


async def test_without_a_way_to_find_out_it_is_an_error_and_never_sent_again(context: Context) -> None:
    provider = ScriptedProvider(can_look_up=False)
    world = TaskWorld(context, provider)
    provider.answer = lambda _: refusal("no answer", sent=True)
    made = await world.hand_over()
    await world.run()
    await world.run_for(5)
    found = await world.task(made.id)
    assert found.status == "Error"
    assert found.validation_error == "submission outcome unknown: no answer"
    assert len(provider.submissions) == 1
    assert len(await world.events("task.dead")) == 1


@pytest.mark.parametrize("arrived", [True, False])
async def test_after_a_crash_in_the_middle_nothing_is_sent_twice(
    world: TaskWorld, provider: ScriptedProvider, arrived: bool
) -> None:
    made = await world.hand_over()
    provider.gate = asyncio.Event()
    (job,) = await world.claim()
    run = asyncio.create_task(world.pumps.submit(job))
    while not provider.submissions:
        await asyncio.sleep(0.01)
    assert (await world.task(made.id)).phase == "submitting"
    if arrived:
        provider.take(provider.submissions[0])
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    provider.gate = None
    await world.execute(sa.text("UPDATE job SET lease_until = 0 WHERE state = 'running'"))
    await world.queue.recover(now=world.now)
    await world.run_for(15)
    assert (await world.task(made.id)).phase == "submitted"
    assert len(provider.submissions) == (1 if arrived else 2)


async def test_a_pump_whose_lease_has_gone_sends_nothing(world: TaskWorld, provider: ScriptedProvider) -> None:
    await world.hand_over()
    (job,) = await world.claim()
    world.advance(20)
    assert await world.queue.recover(now=world.now) == 1
    await world.run()
    assert len(provider.submissions) == 1
    await world.hand_over()
    await world.pumps.submit(job)
    assert len(provider.submissions) == 1


async def test_a_task_that_is_handed_over_while_the_pump_rests_is_not_missed(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    for _ in range(20):
        both = asyncio.gather(world.run(), world.hand_over())
        await both
        await world.run()
    assert len(provider.submissions) == 20


async def test_a_broken_plug_in_ends_one_task_and_not_the_others(context: Context) -> None:
    provider = ScriptedProvider(can_look_up=False)
    world = TaskWorld(context, provider)
    poison = await world.hand_over(payload={"poison": 1})
    other = await world.hand_over()
    provider.answer = lambda task: ZeroDivisionError() if task.payload else provider.take(task)
    await world.run()
    assert (await world.task(poison.id)).status == "Error"
    assert (await world.task(other.id)).phase == "submitted"


async def test_an_answer_may_tell_the_end_already(world: TaskWorld, provider: ScriptedProvider) -> None:
    provider.answer = lambda _: Receipt(None, "Completed")
    made = await world.hand_over()
    await world.run()
    found = await world.task(made.id)
    assert (found.status, found.phase, found.external_id) == ("Completed", "done", None)


async def test_an_unknown_word_is_kept_raw_and_flagged(world: TaskWorld, provider: ScriptedProvider) -> None:
    provider.answer = lambda _: Receipt("7", "SIMMERING")
    made = await world.hand_over()
    await world.run()
    found = await world.task(made.id)
    assert (found.status, found.raw_status, found.flag) == ("In Progress", "SIMMERING", "unknown_status")


async def test_a_task_that_was_changed_meanwhile_is_left_as_it_is(world: TaskWorld, provider: ScriptedProvider) -> None:
    made = await world.hand_over()
    provider.gate = asyncio.Event()
    run = asyncio.create_task(world.run())
    while not provider.submissions:
        await asyncio.sleep(0.01)
    await world.execute(sa.update(table).values(status="Completed", phase="done"))
    provider.gate.set()
    await run
    found = await world.task(made.id)
    assert (found.status, found.phase) == ("Completed", "done")


async def test_tending_starts_a_pump_that_was_lost(world: TaskWorld, provider: ScriptedProvider) -> None:
    await world.hand_over()
    await world.execute(sa.text("UPDATE job SET state = 'cancelled', ended_at = 1"))
    done = await world.pumps.tend(None)  # type: ignore[arg-type]
    assert done.then is not None
    await world.db.write(done.then)
    await world.run()
    assert len(provider.submissions) == 1


async def test_a_pump_for_a_provider_that_is_gone_ends(world: TaskWorld) -> None:
    await world.hand_over()
    del world.providers[NAME]
    world.providers["other"] = ScriptedProvider("other")
    await world.run()
    assert await world.jobs() == []
