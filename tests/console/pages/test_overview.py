import asyncio
import re
from datetime import UTC, datetime

from signalbox.console.pages.overview import to_series
from signalbox.core.times import MINUTE
from signalbox.gateway.schemas import Call, Point, Series, Summary, Totals
from signalbox.infra.jobs import NewJob, enqueue_many
from tests.console.conftest import SignedIn, Visitor, add_user
from tests.gateway.conftest import made_call
from tests.support.databases import Place
from tests.support.hub import RunningHub, running_hub, settings_at

START = 1_800_000_000 - 1_800_000_000 % 60


def totals(calls: int) -> Totals:
    values = dict.fromkeys(Totals.model_fields)
    return Totals.model_validate(
        {**values, "calls": calls, "succeeded": calls, "request_bytes": 0, "response_bytes": 0}
    )


def point(minute: int, calls: int) -> Point:
    return Point(start=datetime.fromtimestamp(START + 60 * minute, UTC), totals=totals(calls))


def summary(**series: list[Point]) -> Summary:
    found = [Series(name=name.lstrip("_"), points=points) for name, points in series.items()]
    at = datetime.fromtimestamp(START, UTC)
    return Summary(since=at, until=at, step="minute", by="status", totals=totals(0), series=found)


def test_calls_are_drawn_by_class_of_their_status() -> None:
    drawn = to_series(
        summary(_200=[point(0, 60)], _302=[point(0, 60)], _404=[point(2, 30)], _503=[point(0, 6)]),
        now=(START + 180) * 1_000_000,
    )
    assert drawn["times"] == [START, START + 60, START + 120, START + 180]
    lines = {each["label"]: each["values"] for each in drawn["series"]}
    assert lines == {"2xx and 3xx": [2, 0, 0, 0], "4xx": [0, 0, 0.5, 0], "5xx": [0.1, 0, 0, 0]}


def test_a_minute_that_has_not_ended_counts_for_what_it_has_had() -> None:
    drawn = to_series(summary(_200=[point(0, 60), point(1, 10)]), now=START * 1_000_000 + MINUTE + 10_000_000)
    assert drawn["series"][0]["values"] == [1, 1]


def test_without_calls_nothing_is_drawn() -> None:
    drawn = to_series(summary(), now=START * 1_000_000)
    assert drawn["times"] == []
    assert "No call" in drawn["empty"]


async def test_an_empty_hub_says_so(signed_in: SignedIn) -> None:
    text = await (await signed_in("user")).text()
    assert "Nothing has failed" in text
    assert "No producer has reported a level yet. Report one: <code>signalbox criticality set 1</code>" in text
    assert "no upstream is set up" in text


async def test_parts_are_asked_for_one_by_one(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    for name in ("figures", "parts", "criticality", "failures"):
        part = await somebody.text(f"/overview/{name}", htmx=True)
        assert "<html" not in part
        assert f'id="{name}"' in part
    assert (await somebody.json("/overview/traffic.json"))["times"] == []


async def test_calls_and_jobs_are_counted(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    context = somebody.hub.hub.context
    later = context.clock.now() + 60 * MINUTE
    new = [NewJob("tasks.submit", {"n": number}, due_at=later) for number in range(3)]
    await context.db.write(enqueue_many, new, now=context.clock.now())
    for _ in range(2):
        await somebody.hub.ask(b"/nobody-serves-this")
    await somebody.hub.flush()
    text = await somebody.text("/overview/figures", htmx=True)
    assert "<dd>3</dd>" in text
    series = await somebody.json("/overview/traffic.json")
    assert sum(series["series"][1]["values"]) > 0


async def test_what_outsiders_write_stays_text(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    context = somebody.hub.hub.context
    await somebody.hub.ask(b"/%3Cimg%20src=x%20onerror=alert(1)%3E")
    await context.db.write(
        enqueue_many, [NewJob("tasks.submit", {}, key="<script>alert(1)</script>")], now=context.clock.now()
    )
    await somebody.hub.flush()
    text = await somebody.text()
    assert "<img" not in text
    assert "<script>alert" not in text


async def record(hub: RunningHub, *calls: Call) -> None:
    for each in calls:
        hub.hub.recorder.record(each)
    await hub.flush()


async def test_rates_errors_and_latency_are_those_of_the_calls(postgresql_place: Place) -> None:
    async with running_hub(settings_at(postgresql_place)) as running:
        await add_user(running, "user", "user")
        somebody = Visitor(running)
        await somebody.sign_in("user")
        quiet = await somebody.text("/overview/figures", htmx=True)
        assert "<dt>Requests</dt><dd>0 /s</dd>" in quiet
        assert "<dt>Errors</dt><dd>\N{EN DASH}</dd>" in quiet
        assert "<dt>p95 latency</dt><dd>\N{EN DASH}</dd>" in quiet
        minute = running.hub.context.clock.now() // MINUTE * MINUTE
        for start in (minute - MINUTE, minute):  # whichever is the last full one when it is looked
            quick = [made_call(created_at=start, micros=4_000)] * 108
            slow = [made_call(created_at=start, micros=2_000_000, status=503)] * 12
            await record(running, *quick, *slow)
        await asyncio.sleep(1.1)  # what was found is kept for a second
        text = await somebody.text("/overview/figures", htmx=True)
        assert '<dt>Requests</dt><dd>2.0 /s</dd><dd class="note">the last full minute</dd>' in text
        assert '<div class="stat" data-state="bad"><dt>Errors</dt><dd>10.0 %</dd>' in text
        assert re.search("<dt>p95 latency</dt><dd>(1.9|2.0) s</dd>", text), "within the width of a bucket"


async def test_calls_that_failed_are_listed_newest_first(signed_in: SignedIn, hub: RunningHub) -> None:
    now = hub.hub.context.clock.now()
    await record(
        hub,
        made_call(created_at=now - 2 * MINUTE, path="/first", status=502),
        made_call(created_at=now - MINUTE, path="/missing", status=404),
        made_call(created_at=now - MINUTE, path="/second", method="PUT", status=500, upstream=""),
    )
    text = await (await signed_in("user")).text("/overview/failures", htmx=True)
    rows = re.findall(r'<span class="clip">(.*?)</span>.*<span class="clip muted">(.*?)</span>', text)
    assert rows == [("PUT /second", "500"), ("GET /first", "502, shop")]
    assert "Nothing has failed" not in text


async def test_every_page_links_to_the_api_docs(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    for path in ("", "/tasks"):
        assert re.search(r'<a href="/docs"><svg .*</svg>API documentation</a>', await somebody.text(path))
    assert (await somebody.hub.ask(b"/docs")).status == 200


async def test_the_page_is_the_same_on_postgresql(postgresql_place: Place) -> None:
    async with running_hub(settings_at(postgresql_place)) as running:
        await add_user(running, "user", "user")
        somebody = Visitor(running)
        await somebody.sign_in("user")
        assert "the last full minute" in await somebody.text()


async def test_the_tour_leads_to_every_capability(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    tour = (await somebody.text()).partition('id="tour"')[2].partition("</section>")[0]
    for path in re.findall(r'href="/console(/[a-z]+)"', tour):
        assert (await somebody.get(path)).status == 200, path
    assert set(re.findall(r'href="/console/([a-z]+)"', tour)) == {
        *("gateway", "tasks", "jobs", "notifications", "criticality", "grid", "conversations")
    }
