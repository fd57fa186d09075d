import json
from dataclasses import replace

from signalbox.notifications.channels import Summary
from signalbox.notifications.channels.cloudevents import event_type, to_event
from tests.support.channels import HOSTILE, NOTICE


def test_a_notice_as_an_event() -> None:
    assert json.loads(to_event(NOTICE, source="/hub")) == {
        "specversion": "1.0",
        "id": "msg_0001",
        "source": "/hub",
        "type": "signalbox.sales",
        "time": "2026-01-01T00:00:00.000000Z",
        "datacontenttype": "application/json",
        "data": {
            "topic": "sales",
            "severity": "warning",
            "title": "A customer waits",
            "text": "Ada asks for an offer.",
            "app": "bot",
            "customer": "c-17",
            "metadata": {"order": 17},
        },
    }
    assert event_type(NOTICE) == "signalbox.sales"


def test_what_a_notice_stands_for_is_named() -> None:
    members = (Summary("msg_1", "one", 0), Summary("msg_2", "two", 1_000_000))
    data = json.loads(to_event(replace(NOTICE, group=members), source="/hub"))["data"]
    assert data["group"] == [
        {"id": "msg_1", "title": "one", "time": "1970-01-01T00:00:00.000000Z"},
        {"id": "msg_2", "title": "two", "time": "1970-01-01T00:00:01.000000Z"},
    ]


def test_hostile_text_comes_back_as_it_was() -> None:
    assert json.loads(to_event(replace(NOTICE, text=HOSTILE), source="/hub"))["data"]["text"] == HOSTILE
