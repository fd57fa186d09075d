from typing import Any

import pytest

from signalbox.core.errors import InvalidError
from signalbox.infra.events import Subscriber


def hear(*_: Any) -> None: ...


@pytest.mark.parametrize(
    ("topics", "topic", "wanted"),
    [
        (["*"], "job.dead", True),
        (["job.dead"], "job.dead", True),
        (["job.dead"], "job.dead.again", False),
        (["job.*"], "job.dead.again", True),
        (["job.*"], "jobs.dead", False),
        (["gateway.*", "job.dead"], "job.dead", True),
        (["gateway.*", "job.dead"], "tasks.failed", False),
    ],
)
def test_what_a_subscriber_wants(topics: list[str], topic: str, wanted: bool) -> None:
    assert Subscriber("who", topics, hear).wants(topic) is wanted


@pytest.mark.parametrize(
    ("name", "topics"),
    [("", ["*"]), ("Who", ["*"]), ("a" * 101, ["*"]), ("who", []), ("who", ["job*"]), ("who", ["job.dead", "*.dead"])],
)
def test_what_is_no_subscriber(name: str, topics: list[str]) -> None:
    with pytest.raises(InvalidError):
        Subscriber(name, topics, hear)
