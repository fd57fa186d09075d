import pytest

from signalbox.auth.principal import Principal
from signalbox.criticality.errors import InvalidQueryError
from signalbox.criticality.parameters import (
    consumer_name,
    find_header,
    parse_query,
    to_etags,
    to_last_event,
    to_revision,
    to_wait,
)


def test_a_consumer_is_the_app_or_whoever_asks() -> None:
    assert consumer_name(Principal("app", "shop", "shop", frozenset())) == "shop"
    assert consumer_name(Principal("user", "anna", None, frozenset())) == "user:anna"


def test_queries_hold_what_is_known_once() -> None:
    assert parse_query(b"since=3&wait=", ("since", "wait")) == {"since": "3", "wait": ""}
    for wrong in (b"a=1", b"since=1&since=1"):
        with pytest.raises(InvalidQueryError):
            parse_query(wrong, ("since",))


def test_revisions_are_numbers_that_fit() -> None:
    assert to_revision({}) is None
    assert to_revision({"since": "9223372036854775807"}) == 2**63 - 1
    for wrong in ("", "-1", "1.0", "²", "9223372036854775808", "1" * 5_000):
        with pytest.raises(InvalidQueryError):
            to_revision({"since": wrong})


def test_waits_are_cut_to_what_is_allowed() -> None:
    assert [to_wait({"wait": text}, most=60) for text in ("0", "1.5", "1e9")] == [0, 1.5, 60]
    assert to_wait({}, most=60) == 0
    for wrong in ("", "-1", "nan", "inf", "x"):
        with pytest.raises(InvalidQueryError):
            to_wait({"wait": wrong}, most=60)


def test_etags_are_revisions_in_quotes() -> None:
    assert to_etags(b'"3", W/"5", "x"') == (False, 5)
    assert to_etags(b"*") == (True, 0)
    assert to_etags(b'"x"') == (False, 0)


def test_last_event_ids_that_are_none_mean_from_the_beginning() -> None:
    assert [to_last_event(value) for value in (None, b"7", b"junk", b"")] == [None, 7, 0, 0]


def test_headers_that_come_several_times_are_joined() -> None:
    headers = [(b"if-none-match", b'"1"'), (b"if-none-match", b'"2"')]
    assert find_header(headers, b"if-none-match") == b'"1", "2"'
    assert find_header(headers, b"token") is None
