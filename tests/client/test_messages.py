import json
from datetime import UTC, datetime

import pytest

from signalbox.client.errors import RefusedError, UnreachableError
from signalbox.client.messages import Messages, Response, check, to_change


def messages(url: str = "https://hub.test/b/", **more: str) -> Messages:
    return Messages(url, token="t", app=more.get("app"), signal=more.get("signal", "default"))


def test_requests_keep_the_path_of_the_address() -> None:
    made = messages()
    assert (made.scheme, made.host, made.port, made.authority) == ("https", "hub.test", 443, "hub.test")
    assert made.ask(since=3, wait=25).target == "/b/api/criticality?since=3&wait=25"
    assert messages(signal="line-3").ask().target == "/b/api/criticality/line-3"
    assert messages("http://[::1]:8000").authority == "[::1]:8000"


def test_the_app_is_named_where_tokens_are_shared() -> None:
    assert "App-name" not in messages().ask().headers
    assert messages(app="shop").ask().headers["App-name"] == "shop"


@pytest.mark.parametrize("url", ["hub.test", "ftp://hub.test", "http://", "http://hub.test/?a=1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no address of a hub"):
        messages(url)


def test_a_report_says_the_moment_with_its_zone() -> None:
    body = json.loads(messages().report(3, reason=None, changed_at=datetime(2026, 1, 1, tzinfo=UTC)).body)
    assert body == {"level": 3, "changed_at": "2026-01-01T00:00:00+00:00"}
    assert messages().report(3, reason="x", changed_at=None).body.count(b"+00:00") == 1


def test_errors_say_whether_to_come_back() -> None:
    problem = json.dumps({"detail": "no", "code": "wrong_level"}).encode()
    with pytest.raises(RefusedError, match="422: no") as refused:
        check(Response(422, {}, problem))
    assert refused.value.code == "wrong_level"
    with pytest.raises(UnreachableError) as away:
        check(Response(503, {"retry-after": "7"}, b"<html>"))
    assert away.value.retry_after == 7
    for body in (b"<html>", b"[]"):
        with pytest.raises(UnreachableError, match="something else answered"):
            to_change(Response(200, {}, body))
    assert to_change(Response(200, {}, b"{}")) is None
