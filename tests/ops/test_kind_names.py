import pytest

from signalbox.notifications.job_names import deliver_kind
from signalbox.ops.kind_names import readable


@pytest.mark.parametrize(
    ("channel", "shown"),
    [("chat", "notifications.deliver.chat"), ("Chat: EU!", "notifications.deliver.chat_eu")],
)
def test_a_digest_is_not_shown(channel: str, shown: str) -> None:
    assert readable(deliver_kind(channel)) == shown


def test_other_kinds_stay_as_they_are() -> None:
    assert readable("tasks.submit") == "tasks.submit"
    assert readable("tasks.to_do") == "tasks.to_do"
