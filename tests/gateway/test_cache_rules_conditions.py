"""Conditional requests, and what unsafe methods outdate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.times import DAY, MICROSECONDS
from signalbox.gateway.cache_control import Header, by_name, format_date
from signalbox.gateway.cache_rules import (
    Answer,
    CacheSettings,
    Terms,
    confirms,
    differs,
    invalidated,
    is_not_modified,
    judge,
    kept_headers,
    not_modified_headers,
    updated,
    with_conditions,
    without_conditions,
)

NOW = 1_767_225_600_000_000
SECOND = MICROSECONDS
SETTINGS = CacheSettings()
ETAG = (b"etag", b'"1"')


def control(text: str) -> Header:
    return b"cache-control", text.encode()


def answer(*headers: Header, status: int = 200, took: int = 0) -> Answer:
    return Answer(status, list(headers), NOW - took, NOW)


def terms(
    *headers: Header, status: int = 200, took: int = 0, settings: CacheSettings = SETTINGS, **asked: bool
) -> Terms:
    made = judge(answer(*headers, status=status, took=took), settings=settings, **asked)
    assert isinstance(made, Terms), made
    return made


# -- conditions


@pytest.mark.parametrize(
    ("asked", "kept", "holds"),
    [
        ([(b"if-none-match", b'"1"')], [ETAG], True),
        ([(b"if-none-match", b'W/"1"')], [ETAG], True),
        ([(b"if-none-match", b'"1"')], [(b"etag", b'W/"1"')], True),
        ([(b"if-none-match", b'"0", W/"1"')], [ETAG], True),
        ([(b"if-none-match", b'"0"'), (b"if-none-match", b'"1"')], [ETAG], True),
        ([(b"if-none-match", b'"0,1"')], [ETAG], False),
        ([(b"if-none-match", b'"2"')], [ETAG], False),
        ([(b"if-none-match", b"1")], [ETAG], False),
        ([(b"if-none-match", b"*")], [], True),
        ([(b"if-none-match", b'""')], [], False),
        ([(b"if-none-match", b'"2"'), (b"if-modified-since", format_date(NOW))], [ETAG, (b"last-modified", format_date(NOW))], False),
        ([(b"if-modified-since", format_date(NOW))], [(b"last-modified", format_date(NOW))], True),
        ([(b"if-modified-since", format_date(NOW))], [(b"last-modified", format_date(NOW - DAY))], True),
        ([(b"if-modified-since", format_date(NOW - DAY))], [(b"last-modified", format_date(NOW))], False),
        ([(b"if-modified-since", b"x")], [(b"last-modified", b"x")], True),
        ([(b"if-modified-since", b"x")], [(b"last-modified", format_date(NOW))], False),
        ([(b"if-modified-since", format_date(NOW))], [], False),
        ([], [ETAG], False),
    ],
)  # fmt: skip
def test_whether_a_client_holds_what_is_stored(asked: list[Header], kept: list[Header], holds: bool) -> None:
    assert is_not_modified(by_name(asked), by_name(kept), now=NOW) is holds


def test_the_cache_asks_for_itself() -> None:
    asked = [(b"accept", b"a/b"), (b"if-none-match", b'"0"'), (b"if-modified-since", b"x")]
    kept = by_name([ETAG, (b"last-modified", b"y")])
    assert with_conditions(asked, kept) == [
        (b"accept", b"a/b"), (b"if-none-match", b'"1"'), (b"if-modified-since", b"y"),
    ]  # fmt: skip
    assert without_conditions(asked) == [(b"accept", b"a/b")]


def test_which_304_is_about_what_is_stored() -> None:
    kept = by_name([ETAG])
    assert confirms([], kept)
    assert confirms([ETAG], kept)
    assert confirms([(b"etag", b'W/"1"')], kept)
    assert not confirms([(b"etag", b'"2"')], kept)
    assert confirms([(b"etag", b'"2"')], {})


def test_what_a_304_changes() -> None:
    kept = [
        (b"date", b"then"), (b"content-type", b"a/b"), (b"content-length", b"3"), (b"x", b"1"), (b"x", b"2"), (b"y", b"1"),
    ]  # fmt: skip
    fresh = [(b"x", b"3"), (b"content-length", b"0"), (b"set-cookie", b"a=1"), (b"z", b"1")]
    assert updated(kept, fresh) == [
        (b"content-type", b"a/b"), (b"content-length", b"3"), (b"y", b"1"), (b"x", b"3"), (b"z", b"1"),
    ]  # fmt: skip


def test_what_is_kept_of_the_headers() -> None:
    said = [control('max-age=9, private="x-user"'), (b"x-user", b"me"), (b"age", b"3"), (b"via", b"v")]
    made = terms(*said)
    assert kept_headers(answer(*said), made, length=5) == [
        said[0], (b"via", b"v"), (b"date", format_date(NOW)), (b"content-length", b"5"),
    ]  # fmt: skip
    date = (b"date", format_date(NOW - DAY))
    assert kept_headers(answer(date, (b"content-length", b"9"), status=204), made, length=0) == [date]


def test_a_304_tells_nothing_of_the_body() -> None:
    headers = [ETAG, (b"content-type", b"a"), (b"content-length", b"3"), (b"vary", b"x"), (b"content-location", b"/a")]
    assert not_modified_headers(headers) == [ETAG, (b"vary", b"x"), (b"content-location", b"/a")]


def test_what_an_answer_to_head_tells() -> None:
    kept = by_name([ETAG, (b"content-length", b"3"), (b"x", b"1")])
    assert not differs([ETAG, (b"content-length", b"3"), (b"x", b"2")], kept)
    assert not differs([(b"last-modified", b"now")], kept)
    assert differs([(b"etag", b'"2"')], kept)
    assert differs([(b"content-length", b"4")], kept)


# -- invalidation

PLACES = ("http://api.test/v1", "https://api2.test:8443", "http://hub.test")


@pytest.mark.parametrize(
    ("reference", "more"),
    [
        (b"/v1/items/2", {b"/items/2", b"/v1/items/2"}),
        (b"3", {b"/items/3"}),
        (b"?page=2", {b"/items/1?page=2"}),
        (b"http://api.test/v1/items/2?a=b#c", {b"/items/2?a=b"}),
        (b"http://API.test:80/v1/items/2", {b"/items/2"}),
        (b"https://api2.test:8443/items/2", {b"/items/2"}),
        (b"http://hub.test/items/2", {b"/items/2"}),
        (b"http://hub.test", {b"/"}),
        (b"//hub.test/items/2", {b"/items/2"}),
        (b"https://api.test/v1/items/2", set()),
        (b"http://api.test:8080/v1/items/2", set()),
        (b"http://api.test/v2/items/2", set()),
        (b"http://evil.test/items/2", set()),
        (b"http://hub.test@evil.test/items/2", set()),
        (b"http://[broken/items/2", set()),
        (b"http://hub.test:x/items/2", set()),
        (b"/caf\xc3\xa9", set()),
        (b"mailto:a@b", set()),
    ],
)
def test_what_else_an_unsafe_method_outdates(reference: bytes, more: set[bytes]) -> None:
    for name in (b"location", b"content-location"):
        found = invalidated(b"/items/1", [(name, reference), (b"x", b"/y")], status=201, places=PLACES)
        assert found - {b"/v1/items/3", b"/items/1"} == more - {b"/v1/items/3"}
        assert b"/items/1" in found


@pytest.mark.parametrize(
    ("status", "outdates"), [(200, True), (204, True), (303, True), (399, True), (400, False), (500, False)]
)
def test_an_error_outdates_nothing(status: int, outdates: bool) -> None:
    found = invalidated(b"/a", [(b"location", b"/b")], status=status, places=PLACES[2:])
    assert found == ({b"/a", b"/b"} if outdates else set())


@given(st.binary(max_size=30))
def test_no_reference_breaks_it(reference: bytes) -> None:
    found = invalidated(b"/a?b", [(b"location", reference)], status=200, places=PLACES)
    assert b"/a?b" in found
    assert all(target.startswith(b"/") for target in found)
