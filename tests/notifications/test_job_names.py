from hypothesis import given
from hypothesis import strategies as st

from signalbox.infra.jobs.job import check_kind
from signalbox.notifications.job_names import deliver_kind

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)


@given(NAMES)
def test_every_channel_has_a_kind_of_jobs(name: str) -> None:
    check_kind(deliver_kind(name))


@given(NAMES, NAMES)
def test_no_two_channels_share_one(one: str, other: str) -> None:
    assert (deliver_kind(one) == deliver_kind(other)) == (one == other)


def test_a_plain_name_stays_readable() -> None:
    assert deliver_kind("slack_sales") == "notifications.deliver.slack_sales"
    assert deliver_kind("Slack-Sales").startswith("notifications.deliver.to_slack_sales_")
