import pytest

from signalbox.notifications.channel_settings import TemplateSettings
from signalbox.notifications.errors import RenderError
from signalbox.notifications.rendering import to_notice, to_subject
from signalbox.notifications.schemas import StoredMessage
from tests.notifications.conftest import START

PLAIN = TemplateSettings()


def message(number: int = 1, severity: str = "info") -> StoredMessage:
    id_, text = f"msg_{number}", f"Call {number}"
    return StoredMessage(number, id_, "sales", severity, "api", "bot", None, text, {"a": 1}, None, [], START)


def test_a_lone_message_stands_for_itself() -> None:
    notice = to_notice(message(), [], PLAIN)
    assert (notice.id, notice.topic, notice.severity, notice.title) == ("msg_1", "sales", "info", "sales: Call 1")
    assert (notice.group, notice.html, notice.metadata) == ((), None, {"a": 1})


def test_what_goes_together_is_named_in_its_order_and_as_bad_as_the_worst() -> None:
    notice = to_notice(message(2), [message(3, "error"), message(1)], PLAIN)
    assert [each.id for each in notice.group] == ["msg_1", "msg_2", "msg_3"]
    assert (notice.id, notice.severity, notice.title) == ("msg_2", "error", "3 messages: sales")
    assert [each.description for each in to_subject(message(), [message(7)]).group] == ["Call 7"]


def test_a_template_that_fails_says_so() -> None:
    with pytest.raises(RenderError):
        to_notice(message(), [], TemplateSettings(text="{{ nothing }}"))
