"""What every kind of provider holds to: its ``example()`` is tried on a double, so that a new kind is tested by existing."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from signalbox.core.registry import Plugin, discover
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.http.pool import PooledClient
from signalbox.infra.http.recorded import OwnCall, RecordedClient
from signalbox.sandbox.provider import ProviderApp
from signalbox.sandbox.provider_book import Pace
from signalbox.sandbox.provider_faults import AFTERWARDS, INSTEAD
from signalbox.sandbox.server import LoopbackServer
from signalbox.tasks.providers import (
    PACKAGE,
    Outgoing,
    PollFailedError,
    Provider,
    ProviderKind,
    Receipt,
    Sighting,
    Sightings,
    SubmitRefusedError,
)

DOUBLES = {"http-json": ProviderApp, "signed": ProviderApp}
"""What plays the server of each kind; a kind that speaks otherwise gets a module in ``sandbox`` and a line here."""

HOWTO = Path(__file__).parents[2] / "docs/howto/add-a-provider.md"
DOCUMENTED = "signed"
"""The kind that ``HOWTO`` shows how to add; it is tried like the shipped ones."""


@dataclass(frozen=True)
class Subject:
    """A provider made from its example, and the double that it asks."""

    provider: Provider
    double: ProviderApp
    told: list[OwnCall]
    http: PooledClient

    async def submit(self, number: int = 1, **payload: Any) -> Receipt:
        return await self.provider.submit(Outgoing(number, f"reference-{number}", payload, 1))

    async def poll(self, *keys: str) -> Sightings:
        found, bad = list[Sighting](), 0
        for start in range(0, len(keys), self.provider.batch or len(keys)):
            part = await self.provider.poll(keys[start : start + (self.provider.batch or len(keys))])
            found, bad = found + part.found, bad + part.bad
        return Sightings(found, bad)


@pytest.fixture(scope="session")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[Plugin]]:
    """The plug-in of the documentation, found as one that lies in a package is."""
    (source,) = re.findall(r"^```python\n(.*?)^```$", HOWTO.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    folder = tmp_path_factory.mktemp("documented")
    package = folder / "documented_providers"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "signed.py").write_text(source, encoding="utf-8")
    sys.path.insert(0, str(folder))
    yield discover(package.name)[DOCUMENTED]
    sys.path.remove(str(folder))


@pytest.fixture(params=sorted({*discover(PACKAGE), DOCUMENTED}))
async def subject(request: pytest.FixtureRequest, documented: type[Plugin]) -> AsyncIterator[Subject]:
    if request.param not in DOUBLES:
        pytest.fail(f"the kind {request.param} has no double: put one into DOUBLES")
    double, http, clock = DOUBLES[request.param](pace=Pace(waiting=3_600)), PooledClient(), ManualClock()
    outbound, told = RecordedClient(http, clock), list[OwnCall]()
    outbound.listen(told.append)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(LoopbackServer(double, grace=0.05))
        stack.push_async_callback(http.close)
        plugin = documented if request.param == DOCUMENTED else discover(PACKAGE)[request.param]
        make = cast("ProviderKind", plugin)
        yield Subject(make(plugin.example(server.url), outbound=outbound, clock=clock), double, told, http)


def test_the_registry_knows_the_kind_that_is_shipped() -> None:
    assert "http-json" in discover(PACKAGE)


def test_each_kind_has_an_example_that_its_settings_take() -> None:
    for kind, plugin in discover(PACKAGE).items():
        example = plugin.example("https://api.example.com")
        assert (type(example), example.kind) == (plugin.settings_model, kind)
        assert plugin.settings_model.model_validate(example.model_dump()) == example


async def test_it_says_whose_budget_it_uses(subject: Subject) -> None:
    assert subject.provider.host.startswith("127.0.0.1")
    assert subject.provider.poll_interval > 0


async def test_a_submitted_task_is_seen_on_its_way(subject: Subject) -> None:
    receipt = await subject.submit(7, what="ü")
    assert receipt.external_id is not None
    seen = []
    for status in ("Not Started", "In Progress", "Completed"):
        subject.double.book.set(receipt.external_id, status)
        seen += [(each.key, each.status) for each in (await subject.poll(receipt.external_id)).found]
    assert seen == [(receipt.external_id, status) for status in ("Not Started", "In Progress", "Completed")]


async def test_a_failed_task_says_why(subject: Subject) -> None:
    receipt = await subject.submit()
    assert receipt.external_id is not None
    subject.double.book.set(receipt.external_id, "Error", "Invalid IP range: 192.168.1.256")
    (found,) = (await subject.poll(receipt.external_id)).found
    assert found == (receipt.external_id, "Error", "Invalid IP range: 192.168.1.256")


async def test_each_call_is_counted_under_its_name(subject: Subject) -> None:
    receipt = await subject.submit()
    await subject.poll(str(receipt.external_id))
    assert {call.service for call in subject.told} == {f"provider:{subject.provider.name}"}
    assert [call.route for call in subject.told] == ["submit", "poll"]


@pytest.mark.parametrize(
    ("how", "permanent"), [("refuse", True), ("fail", False), ("conflict", False), ("busy", False)]
)
async def test_a_refusal_says_whether_it_is_final(subject: Subject, how: str, permanent: bool) -> None:
    subject.double.faults.order(how)
    with pytest.raises(SubmitRefusedError) as caught:
        await subject.submit()
    assert caught.value.permanent is permanent
    assert not subject.double.book.submissions
    assert permanent is (str(caught.value) == "Invalid IP range: 192.168.1.256")


async def test_a_limit_that_is_reached_says_when_to_come_again(subject: Subject) -> None:
    subject.double.faults.order("limit", times=2)
    with pytest.raises(SubmitRefusedError) as refused:
        await subject.submit()
    with pytest.raises(PollFailedError) as failed:
        await subject.poll("1")
    assert (refused.value.retry_after, refused.value.sent, refused.value.permanent) == (2, False, False)
    assert failed.value.retry_after == 2


@pytest.mark.parametrize("how", ["die", "gateway", "garbage", "cut", "truncate"])
async def test_after_a_lost_answer_it_says_that_the_task_may_have_arrived(subject: Subject, how: str) -> None:
    subject.double.faults.order(how)
    with pytest.raises(SubmitRefusedError) as caught:
        await subject.submit()
    assert (caught.value.sent, caught.value.permanent) == (True, False)
    assert subject.double.book.submissions.total() == 1


async def test_where_nobody_listens_nothing_arrived(subject: Subject) -> None:
    await subject.http.close()
    with pytest.raises(SubmitRefusedError) as caught:
        await subject.submit()
    assert (caught.value.sent, caught.value.permanent) == (False, False)
    with pytest.raises(PollFailedError):
        await subject.poll("1")


async def test_after_a_lost_answer_the_task_is_found_and_never_begun_again(subject: Subject) -> None:
    provider = subject.provider
    if provider.can_look_up:
        assert await provider.look_up("reference-1") is None
    subject.double.faults.order("die")
    with pytest.raises(SubmitRefusedError):
        await subject.submit()
    if provider.can_look_up:
        found = await provider.look_up("reference-1")
        assert found is not None
        assert found.external_id is not None
    if provider.is_idempotent:
        again = await subject.submit()
        assert again.external_id is not None
    assert subject.double.book.doubles == {}
    assert subject.double.book.submissions.total() == 1


WRONG = ["garbage", "empty", "truncate", "cut", "object", "die", "fail", "drop", "redirect", "refuse", "gateway"]


@pytest.mark.parametrize("how", WRONG)
async def test_a_poll_without_a_whole_answer_fails(subject: Subject, how: str) -> None:
    await subject.submit()
    subject.double.faults.order(how, times=None)
    with pytest.raises(PollFailedError):
        await subject.poll("1")
    assert set(WRONG) <= {*INSTEAD, *AFTERWARDS}


async def test_bad_elements_are_counted_and_spoil_no_others(subject: Subject) -> None:
    keys = [str((await subject.submit(number)).external_id) for number in range(1, 21)]
    subject.double.faults.order("mangle", times=None)
    found, bad = await subject.poll(*keys)
    assert [each.key for each in found] == keys[::2]
    assert bad == 10


async def test_repeated_and_forgotten_ids_come_as_they_are(subject: Subject) -> None:
    keys = [str((await subject.submit(number)).external_id) for number in range(1, 5)]
    if subject.provider.batch == 1:
        pytest.skip("it asks for one task at a time")
    subject.double.faults.order("repeat")
    assert sorted(each.key for each in (await subject.poll(*keys)).found) == sorted(keys * 2)
    subject.double.faults.order("forget")
    assert [each.key for each in (await subject.poll(*keys)).found] == keys[::2]


async def test_unknown_words_are_passed_on(subject: Subject) -> None:
    receipt = await subject.submit()
    subject.double.faults.order("odd_status")
    (found,) = (await subject.poll(str(receipt.external_id))).found
    assert found.status == "Paused"


async def test_calls_at_the_same_time_do_not_mix(subject: Subject) -> None:
    receipts = await asyncio.gather(*(subject.submit(number) for number in range(1, 101)))
    assert len({receipt.external_id for receipt in receipts}) == 100
    assert subject.double.book.doubles == {}
