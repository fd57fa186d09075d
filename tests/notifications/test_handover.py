from signalbox.notifications.handover import FRESH, Handover
from signalbox.notifications.schemas import StoredMessage
from signalbox.notifications.store import Due
from tests.notifications.conftest import START


def due(number: int) -> Due:
    of = StoredMessage(number, "msg_1", "sales", "info", "api", None, None, "Call", {}, None, ["all"], START)
    return Due(number, "chat", "pending", 0, START, START, None, of, None, None)


def test_what_was_handed_over_is_taken_once() -> None:
    handover = Handover()
    handover.put(due(1))
    assert handover.take(2, now=START) is None
    assert handover.take(1, now=START) == due(1)
    assert handover.take(1, now=START) is None


def test_what_is_old_is_not_believed() -> None:
    handover = Handover()
    for number in (1, 2):
        handover.put(due(number))
    assert handover.take(1, now=START + FRESH) is not None
    assert handover.take(2, now=START + FRESH + 1) is None


def test_what_nobody_takes_is_forgotten() -> None:
    handover = Handover(capacity=2)
    for number in (1, 2, 3):
        handover.put(due(number))
    assert [handover.take(number, now=START) is None for number in (1, 2, 3)] == [True, True, False]
