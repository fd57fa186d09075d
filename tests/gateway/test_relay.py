"""What is recorded of answers that break off; streams and tunnels have tests at the socket in test_proxy_bodies.py and
test_websocket.py."""

import pytest

from signalbox.gateway.body import ClientGoneError
from signalbox.gateway.errors import BodyTooLargeError
from signalbox.gateway.relay import _status_of_broken
from signalbox.infra.http import ConnectionBrokenError, HttpClientError, InvalidResponseError, ResponseTimeoutError


def caused(cause: Exception) -> HttpClientError:
    error = ConnectionBrokenError("the request body broke off")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ResponseTimeoutError("too late"), 504),
        (ConnectionBrokenError("gone"), 502),
        (InvalidResponseError("garbage"), 502),
        (caused(ClientGoneError("left")), 499),
        (caused(BodyTooLargeError("much")), 413),
    ],
)
def test_who_broke_the_answer_off_is_told_apart(error: HttpClientError, status: int) -> None:
    assert _status_of_broken(error) == status
