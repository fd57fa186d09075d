import pytest

from signalbox.gateway.report import INTERVAL, FailureLog
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.http import ConnectError, ResponseTimeoutError


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, int]]:
    fields = [vars(record) for record in caplog.records]
    return [(each["upstream"], each["code"], each["more_failures"]) for each in fields]


def test_the_first_failure_is_logged_and_the_rest_of_the_second_counted(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    log = FailureLog(clock)
    for _ in range(1000):
        log.report("shop", ConnectError("refused"))
    assert lines(caplog) == [("shop", "connect_failed", 0)]
    clock.advance(INTERVAL)
    log.report("shop", ResponseTimeoutError("late"))
    assert lines(caplog)[1:] == [("shop", "response_timeout", 999)]
    clock.advance(INTERVAL)
    log.report("shop", ConnectError("refused"))
    assert lines(caplog)[2:] == [("shop", "connect_failed", 0)]


def test_upstreams_are_reported_apart(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    log = FailureLog(clock)
    for name in ("a", "b", "a"):
        log.report(name, ConnectError("refused"))
    assert [name for name, _, _ in lines(caplog)] == ["a", "b"]
