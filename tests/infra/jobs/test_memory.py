"""What only this version has; what every version does is in ``tests/contracts/test_jobs.py``."""

import pytest

from signalbox.infra.jobs import NewJob, Report
from signalbox.infra.jobs.memory import MemoryQueue

NOW = 1_767_225_600_000_000


def note(_tx: object) -> None:
    """What a handler wants recorded."""


async def test_without_a_database_nothing_can_be_recorded_beside_an_outcome() -> None:
    queue = MemoryQueue()
    number = queue.enqueue(NewJob("test.work", {}), now=NOW)
    (job,) = await queue.claim("test.work", worker="w", limit=1, now=NOW)
    with pytest.raises(TypeError, match="no database"):
        await queue.record([Report(job, "done", NOW, then=note)], now=NOW)
    assert queue.find_job(number or 0).state == "running"
    assert await queue.record([Report(job, "done", NOW)], now=NOW) == ["done"]


async def test_payloads_are_copies_as_those_of_databases_are() -> None:
    queue = MemoryQueue()
    payload = {"ids": [1]}
    queue.enqueue(NewJob("test.work", payload), now=NOW)
    payload["ids"].append(2)
    (job,) = await queue.claim("test.work", worker="w", limit=1, now=NOW)
    assert job.payload == {"ids": [1]}
    job.payload["ids"].append(3)
    assert queue.find_job(job.id).payload == {"ids": [1]}


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_a_payload_that_is_no_json_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        MemoryQueue().enqueue(NewJob("test.work", {"x": value}), now=NOW)
