import json

import pytest

from signalbox.sandbox.provider_faults import AFTERWARDS, INSTEAD, Cut, Ending, Faults, Reply

TASKS = [{"id": str(number), "status": "Completed"} for number in range(1, 5)]
REPLY = Reply(200, json.dumps(TASKS).encode())


def after(how: str) -> Reply:
    outcome = AFTERWARDS[how](REPLY)
    assert isinstance(outcome, Reply)
    return outcome


def test_orders_are_taken_in_turn_and_only_by_their_route() -> None:
    faults = Faults()
    faults.order("fail", route="submit", times=2)
    faults.order("hang")
    faults.order("empty", times=None)
    taken = [faults.take(route) for route in ("list", "submit", "submit", "submit", "submit")]
    assert taken == ["hang", "fail", "fail", "empty", "empty"]
    faults.clear()
    assert faults.take("submit") is None


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no fault is called 'explode'; there are: busy, "):
        Faults().order("explode")


def test_a_refusal_says_when_to_come_again() -> None:
    for how in ("busy", "limit"):
        outcome = INSTEAD[how]
        assert isinstance(outcome, Reply)
        assert dict(outcome.headers)[b"retry-after"].isdigit()


def test_what_is_left_of_an_answer() -> None:
    assert AFTERWARDS["die"](REPLY) is Ending.DROP
    assert AFTERWARDS["swallow"](REPLY) is Ending.HANG
    assert AFTERWARDS["cut"](REPLY) == Cut(REPLY)
    for how in ("garbage", "empty", "truncate"):
        with pytest.raises(json.JSONDecodeError):
            json.loads(after(how).body)


def test_what_becomes_of_the_tasks_in_it() -> None:
    assert json.loads(after("object").body) == {"tasks": TASKS}
    assert json.loads(after("empty_list").body) == []
    assert json.loads(after("forget").body) == TASKS[::2]
    assert {each["status"] for each in json.loads(after("odd_status").body)} == {"Paused"}
    repeated = json.loads(after("repeat").body)
    assert [each["id"] for each in repeated] == ["1", "2", "3", "4"] * 2
    assert repeated[4]["status"] == "In Progress"
    mangled = json.loads(after("mangle").body)
    assert mangled[::2] == TASKS[::2]
    assert not any(each in mangled for each in TASKS[1::2])
