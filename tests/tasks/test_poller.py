"""The poll pump: when it asks, and what answers change."""

from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from signalbox.infra.context import Context
from signalbox.tasks import pump, store
from signalbox.tasks.models import task as table
from signalbox.tasks.poll import Streaks
from signalbox.tasks.poller import pause_after, pause_end
from signalbox.tasks.providers import PollFailedError
from tests.support.task_world import NAME, SECOND, ScriptedProvider, TaskWorld


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def world(context: Context, provider: ScriptedProvider) -> TaskWorld:
    return TaskWorld(context, provider, default=NAME, missing_after=3)


async def statuses(world: TaskWorld) -> dict[int, str]:
    return {each.id: each.status for each in await world.tasks()}


async def test_a_poll_changes_tasks_by_external_id_and_tracked_ones_by_ours(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    sent, tracked, other = await world.hand_over(), await world.hand_over(None, id=7), await world.hand_over(None)
    await world.run()
    provider.says((f"x{sent.id}", "Completed"), ("7", "In Progress"), (str(other.id), "Error", "Invalid IP range"))
    await world.run_for(11)
    assert await statuses(world) == {sent.id: "Completed", tracked.id: "In Progress", other.id: "Error"}
    assert (await world.task(other.id)).validation_error == "Invalid IP range"
    (event,) = await world.events("task.error")
    assert (event["id"], event["reason"], event["provider"]) == (other.id, "Invalid IP range", NAME)
    assert [each.source for each in await world.history(sent.id)] == ["client", "submit", "poll"]


async def test_without_a_default_provider_tracked_tasks_are_left_alone(
    context: Context, provider: ScriptedProvider
) -> None:
    world = TaskWorld(context, provider)
    tracked, sent = await world.hand_over(None), await world.hand_over()
    provider.says((str(tracked.id), "Completed"), (f"x{sent.id}", "In Progress"))
    await world.run()
    await world.run_for(11)
    assert (await world.task(tracked.id)).status == "Not Started"


async def test_nothing_is_polled_while_nothing_is_in_flight(world: TaskWorld, provider: ScriptedProvider) -> None:
    made = await world.hand_over(None)
    await world.run_for(11)
    assert len(provider.polls) == 1
    provider.says((str(made.id), "Completed"))
    await world.run_for(11)
    assert len(provider.polls) == 2
    assert await world.jobs() == []
    await world.run_for(100, step=10)
    assert len(provider.polls) == 2
    await world.hand_over(None)
    await world.run_for(11)
    assert len(provider.polls) == 3


@pytest.mark.parametrize("failure", [PollFailedError("502"), PollFailedError("busy", retry_after=30)])
async def test_a_poll_that_failed_changes_nothing(
    world: TaskWorld, provider: ScriptedProvider, failure: PollFailedError
) -> None:
    made = await world.hand_over(None, status="In Progress")
    provider.sightings = failure
    await world.run_for(11)
    before = await world.task(made.id)
    assert (before.status, before.flag) == ("In Progress", None)
    provider.says((str(made.id), "Completed"))
    if failure.retry_after is not None:
        await world.run_for(28)
        assert len(provider.polls) == 1, "the host wants to be left alone"
    await world.run_for(15)
    assert (await world.task(made.id)).status == "Completed"


async def test_an_empty_answer_is_an_answer_in_which_all_are_missing_and_changes_no_status(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    made = await world.hand_over(None, status="In Progress")
    await world.run_for(25)
    found = await world.task(made.id)
    assert (found.status, found.flag) == ("In Progress", None)
    await world.run_for(60)
    found = await world.task(made.id)
    assert (found.status, found.flag) == ("In Progress", "missing")
    provider.says((str(made.id), "In Progress"))
    await world.run_for(60)
    assert (await world.task(made.id)).flag is None


async def test_terminal_statuses_never_revert(world: TaskWorld, provider: ScriptedProvider) -> None:
    done, other = await world.hand_over(None), await world.hand_over(None)
    provider.says((str(done.id), "Completed"), (str(other.id), "In Progress"))
    await world.run_for(11)
    provider.says((str(done.id), "In Progress"), (str(other.id), "In Progress"))
    await world.run_for(40)
    assert await statuses(world) == {done.id: "Completed", other.id: "In Progress"}


@pytest.mark.parametrize("order", [("Completed", "In Progress"), ("In Progress", "Completed")])
async def test_of_two_statuses_in_one_answer_the_terminal_one_wins(
    world: TaskWorld, provider: ScriptedProvider, order: Sequence[str]
) -> None:
    made = await world.hand_over(None)
    provider.says(*((str(made.id), status) for status in order))
    await world.run_for(11)
    assert (await world.task(made.id)).status == "Completed"


async def test_unknown_words_are_kept_raw_and_unknown_ids_and_bad_elements_counted(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    made, good = await world.hand_over(None), await world.hand_over(None)
    provider.says((str(made.id), "SIMMERING"), ("999", "Completed"), (str(good.id), "Completed"), bad=2)
    await world.run_for(11)
    found = await world.task(made.id)
    assert (found.status, found.raw_status, found.flag) == ("Not Started", "SIMMERING", "unknown_status")
    assert (await world.task(good.id)).status == "Completed"
    row = await world.db.read(lambda tx: tx.execute(sa.text("SELECT * FROM task_provider")).one())
    assert (row.found, row.changed, row.unknown, row.bad, row.poll_error) == (3, 2, 1, 2, None)


async def test_a_poll_that_brings_no_news_writes_nothing_of_tasks(world: TaskWorld, provider: ScriptedProvider) -> None:
    made = await world.hand_over(None, status="In Progress")
    provider.says((str(made.id), "In Progress"))
    before = await world.task(made.id)
    await world.run_for(35)
    assert await world.task(made.id) == before
    assert len(await world.history(made.id)) == 1


async def test_polls_follow_one_another_and_come_in_time(world: TaskWorld, provider: ScriptedProvider) -> None:
    await world.fill(3, provider=None)
    await world.hand_over()
    await world.run()
    assert len(await world.jobs(pump.POLL)) == 1
    await world.run_for(31)
    assert len(provider.polls) == 3
    assert len(await world.jobs(pump.POLL)) == 1


async def test_batches_are_asked_for_by_key(context: Context) -> None:
    provider = ScriptedProvider(batch=2)
    world = TaskWorld(context, provider)
    ids = await world.fill(5)
    await world.run()
    provider.says(*((f"x{number}", "Completed") for number in ids[:4]))
    await world.run_for(12)
    assert sorted(len(keys) for keys in provider.polls) == [1, 2, 2]
    assert {key for keys in provider.polls for key in keys} == {f"x{number}" for number in ids}
    assert list((await statuses(world)).values()).count("Completed") == 4
    await world.run_for(12)
    assert provider.polls[3:] == [[f"x{ids[4]}"]]


async def test_no_poll_without_a_permit(context: Context) -> None:
    provider = ScriptedProvider(limits=["1/1000s"])
    world = TaskWorld(context, provider)
    await world.hand_over()
    await world.run()
    await world.run_for(30)
    assert (len(provider.submissions), len(provider.polls)) == (1, 0)
    (job,) = await world.jobs(pump.POLL)
    assert job.state == "waiting"


@pytest.mark.parametrize("batch", [None, 2])
async def test_a_poll_whose_connection_comes_too_late_takes_a_permit_for_longer(
    context: Context, batch: int | None
) -> None:
    provider = ScriptedProvider(limits=["1000/1s"], batch=batch)
    world = TaskWorld(context, provider)
    made = await world.hand_over()
    await world.run()
    provider.connects_in = 1.0
    provider.says((f"x{made.id}", "Completed"))
    await world.run_for(11)
    assert (provider.late, len(provider.polls)) == (1, 1)
    assert (await world.task(made.id)).status == "Completed"


@pytest.mark.parametrize("batch", [None, 2])
async def test_a_provider_that_cannot_be_reached_in_time_is_a_poll_that_failed(
    context: Context, batch: int | None
) -> None:
    provider = ScriptedProvider(limits=["1000/1s"], batch=batch)
    world = TaskWorld(context, provider)
    await world.hand_over()
    await world.run()
    provider.connects_in = 60.0
    await world.run_for(11)
    assert (provider.late, provider.polls) == (2, [])
    (poll,) = (await world.db.read(store.find_polls)).values()
    assert poll.error == "no connection in time"


async def test_a_poll_that_is_one_too_many_pauses_the_host_for_a_back_off(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    await world.hand_over()
    await world.run()
    provider.sightings = PollFailedError("busy", too_many=True)
    await world.run_for(11)
    found = await world.db.read(world.context.budgets.paused_until, provider.host)
    assert found is not None
    assert found > world.now - 2 * SECOND
    assert pause_end(PollFailedError("busy"), Streaks(3, 0), 0) is None
    assert pause_end(PollFailedError("busy", too_many=True), Streaks(3, 0), 0) == 4 * SECOND


async def test_a_task_that_was_sent_after_the_poll_began_is_not_missed(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    made = await world.hand_over(None)
    await world.execute(sa.update(table).values(created_at=world.now + 1_000 * SECOND))
    await world.run_for(60)
    assert len(provider.polls) > 2
    assert (await world.task(made.id)).flag is None


async def test_a_hundred_thousand_tasks_are_compared_and_written_in_short_transactions(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    count = 20_000  # a fifth of it; how quick it is is measured in bench/
    for _ in range(count // 5_000):
        await world.fill(5_000, provider=None)
    found = await world.tasks()
    provider.says(*((str(each.id), "Completed") for each in found))
    world.advance(11)
    await world.run()
    assert set((await statuses(world)).values()) == {"Completed"}


@pytest.mark.parametrize(
    ("streaks", "intervals"),
    [((0, 0), 1), ((0, 2), 1), ((0, 3), 2), ((0, 6), 4), ((0, 1_000), 4), ((1, 0), 1), ((2, 0), 2), ((1_000, 0), 30)],
)
def test_pauses_grow_while_nothing_changes_and_while_polls_fail(streaks: tuple[int, int], intervals: int) -> None:
    assert pause_after(Streaks(*streaks), 10 * SECOND) == intervals * 10 * SECOND
