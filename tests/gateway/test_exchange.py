"""What a call tells the breaker and its target of how it ended."""

from typing import Any

import pytest

from signalbox.core.asgi import EMPTY_QUERY
from signalbox.gateway.breaker import Breaker, BreakerSettings
from signalbox.gateway.exchange import Exchange
from signalbox.gateway.schemas import Call
from signalbox.gateway.targets import Targets, TargetSettings


def made(**scope: Any) -> Exchange:
    told = {"method": "GET", "raw_path": b"/a", "query_string": b"", "extensions": {}, **scope}
    return Exchange(told, peer="192.0.2.1", client="192.0.2.2", now=1_000, monotonic=5.0)


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(BreakerSettings(minimum_calls=100), "shop", now=0.0)


@pytest.fixture
def targets() -> Targets:
    return Targets(["http://a.test"], TargetSettings())


def begun(breaker: Breaker, targets: Targets) -> Exchange:
    exchange = made()
    exchange.ticket = breaker.admit(5.0)
    exchange.target = targets.pick(5.0)
    exchange.request_id = b"id-1"
    return exchange


def counted(breaker: Breaker) -> tuple[int, int]:
    view = breaker.view(6.0, wall=0)
    return view.calls, view.failed


def test_a_success_is_told_once(breaker: Breaker, targets: Targets) -> None:
    exchange = begun(breaker, targets)
    exchange.succeed(6.0)
    exchange.succeed(6.0)
    exchange.fail(6.0, "status 500")
    exchange.ignore()
    assert counted(breaker) == (1, 0)
    assert targets.in_flight == 0


def test_a_failure_is_told_once_with_a_sample(breaker: Breaker, targets: Targets) -> None:
    exchange = begun(breaker, targets)
    exchange.fail(6.0, "connect_failed")
    exchange.ignore()
    assert counted(breaker) == (1, 1)
    (sample,) = breaker.samples
    assert (sample.method, sample.path, sample.outcome, sample.request_id) == ("GET", "/a", "connect_failed", "id-1")
    (target,) = targets.all
    assert (target.in_flight, target.failures_in_a_row) == (0, 1)


def test_a_failed_attempt_is_told_to_its_target_only(breaker: Breaker, targets: Targets) -> None:
    exchange = begun(breaker, targets)
    exchange.fail_attempt(6.0)
    exchange.target = targets.pick(6.0)
    exchange.succeed(7.0)
    assert counted(breaker) == (1, 0)
    assert (targets.in_flight, targets.all[0].failures_in_a_row) == (0, 0)


def test_what_says_nothing_of_the_upstream_is_not_counted(breaker: Breaker, targets: Targets) -> None:
    exchange = begun(breaker, targets)
    exchange.ignore()
    exchange.ignore()
    assert counted(breaker) == (0, 0)
    assert targets.in_flight == 0


def test_an_empty_query_is_not_none() -> None:
    assert made().query is None
    assert made(extensions={EMPTY_QUERY: None}).query == b""
    assert made(query_string=b"a=1").query == b"a=1"


def test_a_record_has_the_fields_of_a_call_in_order() -> None:
    exchange = made(raw_path=b"/" + b"x" * 5_000)
    exchange.status, exchange.request_bytes, exchange.response_bytes, exchange.app = 200, 3, 4, "till"
    call = Call._make(exchange.to_call(5.25))
    assert len(call.path) == 2_048
    expected = Call(1_000, call.path, "unmatched", "", "GET", 200, 250_000, 3, 4, "192.0.2.2", "till", "")
    assert call == expected
    exchange.head_at = 5.125
    assert Call._make(exchange.to_call(9.0)).micros == 125_000
