"""The pages of jobs over HTTP."""

from datetime import UTC, datetime

import pytest

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.console.assets import Assets
from signalbox.console.pages.jobs import to_words
from signalbox.console.templating import Templates
from signalbox.core.times import HOUR
from signalbox.infra.context import Context
from signalbox.infra.jobs import NewJob, enqueue_many
from signalbox.notifications.job_names import deliver_kind
from signalbox.ops import background, schedules
from tests.console.conftest import SignedIn, Visitor, told

EVIL = "<img src=x onerror=alert(1)>"


def context_of(somebody: Visitor) -> Context:
    return somebody.hub.hub.context


async def make(somebody: Visitor, kind: str = "grid.nobody", *, key: str | None = None) -> int:
    """A job that nobody of this hub takes, due an hour ago."""
    context = context_of(somebody)
    at = context.clock.now()
    await context.db.write(enqueue_many, [NewJob(kind, {"n": 1}, key=key, due_at=at - HOUR)], now=at)
    found = await context.db.read(background.list_jobs, state=None, kind=kind, limit=1)
    return found.items[0].id


async def cancelled(somebody: Visitor, number: int) -> None:
    context = context_of(somebody)
    await context.db.write(background.cancel_job, number, actor="test", now=context.clock.now())


async def state(somebody: Visitor, number: int) -> str:
    return (await context_of(somebody).db.read(background.show_job, number)).state


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("every 5000000+12", "every 5 s"),
        ("every 300000000+0", "every 5 min"),
        ("every 60000000", "every 60 s"),
        ("0 3 * * *", "0 3 * * * UTC"),
    ],
)
def test_rules_are_said_in_words(rule: str, words: str) -> None:
    assert to_words(rule) == words


async def test_depth_and_age_are_shown_by_kind(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    await make(somebody)
    text = await somebody.text("/jobs/kinds", htmx=True)
    assert "grid.nobody" in text
    assert "60 min" in text
    assert "0 running, 1 waiting, 0 dead" in text


def test_where_there_is_no_job_schedules_say_which_come() -> None:
    values = {"root": "", "now": datetime.now(UTC), "is_manager": True, "dead": 0, "kinds": [], "most": 0}
    text = Templates(Assets()).render("jobs/_kinds.html", values)
    assert "No job waits, runs or is dead" in text
    assert '<a href="/console/jobs/schedules">Schedules</a>' in text


async def test_the_list_is_filtered_by_what_stands_in_the_address(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    one, other = await make(somebody), await make(somebody, "grid.other")
    await cancelled(somebody, other)

    async def shown(query: str) -> list[int]:
        text = await somebody.text(f"/jobs/rows?{query}", htmx=True)
        return [each for each in (one, other) if f'/console/jobs/{each}"' in text]

    assert await shown("") == [one, other]
    assert await shown("kind=grid.other") == [other]
    assert await shown("state=cancelled") == [other]
    assert await shown(f"find={one}") == [one]
    assert await shown("find=987654") == []
    assert 'hx-get="/console/jobs/rows?kind=a.b&amp;state=dead"' in await somebody.text("/jobs?kind=a.b&state=dead")
    assert (await somebody.get("/jobs?state=burning")).status == 422
    assert (await somebody.get("/jobs/rows?find=x")).status == 422


async def test_kinds_that_end_with_a_digest_are_shown_without_it(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    kind = deliver_kind("my chat")
    number = await make(somebody, kind)
    for path in ("/jobs/kinds", "/jobs/rows"):
        assert ">notifications.deliver.my_chat<" in await somebody.text(path, htmx=True)
    assert kind in await somebody.text(f"/jobs/{number}"), "one job's page says it in full, to be filtered by"


async def test_one_job_is_shown_with_its_time_line(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    number = await make(somebody)
    await cancelled(somebody, number)
    for path in (f"/jobs/{number}", f"/jobs/{number}/state"):
        text = await somebody.text(path)
        assert "<title>waiting:" in text
        assert "<title>cancelled:" in text
        assert "hx-post" not in text
    for path in ("/jobs/987654", "/jobs/x", "/jobs/99999999999999999999"):
        assert (await somebody.get(path)).status == 404


async def test_a_job_is_cancelled_and_run_again_and_both_are_audited(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    number = await make(somebody)
    answer = await somebody.act(f"/jobs/{number}/cancel")
    assert told(answer)["toast"]["message"] == f"Job {number} is cancelled."
    assert await state(somebody, number) == "cancelled"
    again = await somebody.act(f"/jobs/{number}/cancel")
    assert (again.status, told(again)["toast"]["kind"]) == (409, "bad")
    await somebody.act(f"/jobs/{number}/retry")
    assert await state(somebody, number) == "waiting"
    entries = await context_of(somebody).db.read(list_entries, wanted=AuditFilter(), limit=2)
    assert [(each.actor, each.action) for each in entries] == [
        ("user:manager", "job.retry"),
        ("user:manager", "job.cancel"),
    ]


async def test_many_are_changed_at_once(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    number = await make(somebody)
    answer = await somebody.act("/jobs/actions", action="cancel", ids=str(number))
    assert told(answer)["toast"] == {"message": "1 of 1 jobs: cancelled or told to stop.", "kind": "ok"}
    assert await state(somebody, number) == "cancelled"
    await somebody.act("/jobs/actions", action="retry", ids=str(number))
    assert await state(somebody, number) == "waiting"


async def test_where_nothing_is_dead_nothing_runs_again(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    assert told(await somebody.act("/jobs/retry"))["toast"]["message"] == "No job is dead any more."


async def test_schedules_are_run_paused_and_resumed(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    db = context_of(somebody).db

    async def found() -> datetime | None:
        return next(each.paused_at for each in await db.read(schedules.list_schedules) if each.name == "tasks.tend")

    assert "tasks.tend" in await somebody.text("/jobs/schedules")
    await somebody.act("/jobs/schedules/tasks.tend/pause")
    assert await found() is not None
    assert "Resume" in await somebody.text("/jobs/schedules", htmx=True)
    assert told(await somebody.act("/jobs/schedules/tasks.tend/resume"))["toast"]["message"] == "tasks.tend goes on."
    assert await found() is None
    assert "waits to be run" in told(await somebody.act("/jobs/schedules/tasks.tend/run"))["toast"]["message"]
    assert (await somebody.act("/jobs/schedules/nobody/run")).status == 404


async def test_users_see_and_do_nothing(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    number = await make(somebody)
    text = "".join([await somebody.text(path) for path in ("/jobs", "/jobs/schedules", f"/jobs/{number}")])
    assert "hx-post" not in text
    for path in ("/jobs/actions", "/jobs/retry", f"/jobs/{number}/cancel", "/jobs/schedules/tasks.tend/pause"):
        assert (await somebody.act(path, action="cancel", ids=str(number))).status == 403
    assert await state(somebody, number) == "waiting"


async def test_what_outsiders_write_stays_text(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    text = await somebody.text(f"/jobs/{await make(somebody, key=EVIL)}")
    assert "<img" not in text
    assert "&lt;img" in text
