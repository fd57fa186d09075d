from typing import Any

import pytest
from pydantic import ValidationError

from signalbox.notifications.settings import NotificationSettings

CHANNEL = {"kind": "log", "name": "chat"}
ROUTE = {"topic": "sales", "channels": ["chat"]}


def load(**values: Any) -> NotificationSettings:
    return NotificationSettings.model_validate({"channels": [CHANNEL], "routes": [ROUTE], **values})


def test_topics_are_folded_and_one_may_stand_alone() -> None:
    settings = load(routes=[{"topic": " Sales ", "channels": ["chat"], "continue": True}, ROUTE])
    assert [route.topic for route in settings.routes] == [["sales"], ["sales"]]
    assert [route.continue_ for route in settings.routes] == [True, False]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"routes": [{"topic": "sales", "channels": ["slack"]}]}, "routes[0].channels names 'slack'"),
        ({"default": {"channels": ["slack"]}}, "default.channels names 'slack'; the channels are: chat"),
        ({"routes": [{"topic": "sales", "channels": []}]}, "at least 1 item"),
        ({"routes": [{"topic": " ", "channels": ["chat"]}]}, "is empty"),
        ({"routes": [{**ROUTE, "severity": "bad"}]}, "'info', 'warning', 'error' or 'critical'"),
        ({"routes": [{**ROUTE, "name": "x"}, {**ROUTE, "name": "x"}]}, "two of the routes have the name 'x'"),
        ({"channels": [CHANNEL, CHANNEL]}, "two of the channels have the name 'chat'"),
        ({"channels": [{**CHANNEL, "template": {"text": "{% if %}"}}]}, "is no template"),
        ({"channels": [{**CHANNEL, "rate": "1001/1m"}]}, "at most 1000"),
        ({"channels": [{**CHANNEL, "retries": ["soon"]}]}, "is not a span of time"),
        ({"routes": [{**ROUTE, "group": {"by": []}}]}, "at least 1 item"),
        ({"routes": [{**ROUTE, "group": {"wait": "2d"}}]}, "is at most 1d"),
        ({"routes": [{**ROUTE, "quiet": {"start": "24:00", "end": "07:00"}}]}, "should match pattern"),
        ({"routes": [{**ROUTE, "quiet": {"start": "07:00", "end": "07:00"}}]}, "start and end are the same"),
        ({"routes": [{**ROUTE, "quiet": {"start": "22:00", "end": "07:00", "zone": "Mars"}}]}, "is no time zone"),
        ({"hooks": [{"name": "bot", "secrets": ["s"]}]}, "needs topic, topic_path or both"),
        ({"hooks": [{"name": "bot", "secrets": [], "topic": "x"}]}, "at least 1 item"),
        ({"hooks": [{"name": "A/b", "secrets": ["s"], "topic": "x"}]}, "should match pattern"),
        ({"surprise": 1}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        load(**values)
    assert said in str(caught.value)


def test_secrets_of_hooks_are_shown_nowhere() -> None:
    settings = load(hooks=[{"name": "bot", "secrets": ["opensesame"], "topic": "x"}])
    assert "opensesame" not in repr(settings)
    assert "opensesame" not in settings.model_dump_json()
