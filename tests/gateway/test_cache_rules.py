from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from signalbox.core.times import DAY, HOUR, MICROSECONDS, MINUTE
from signalbox.gateway.cache_control import FOREVER, NOTHING, Header, format_date, parse_directives
from signalbox.gateway.cache_rules import (
    HEURISTIC_STATUSES,
    MAX_VARY,
    Answer,
    CacheSettings,
    Terms,
    initial_age,
    judge,
    kept_headers,
    may_answer,
    may_answer_on_error,
    may_answer_stale,
    normalized,
    selector,
    vary_names,
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


def refusal(*headers: Header, status: int = 200, settings: CacheSettings = SETTINGS, **asked: bool) -> str:
    made = judge(answer(*headers, status=status), settings=settings, **asked)
    assert isinstance(made, str)
    return made


def lifetime(*headers: Header, status: int = 200, **settings: Any) -> int:
    """Seconds for which an answer that can be revalidated is fresh."""
    made = terms(*headers, ETAG, status=status, settings=CacheSettings(**settings))
    return (made.fresh_until - made.born) // SECOND


# -- what may be stored


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ([control("no-store, max-age=60")], 200, "no-store"),
        ([control("private, max-age=60")], 200, "private"),
        ([control("public, max-age=60"), (b"set-cookie", b"a=1")], 200, "set-cookie"),
        ([control("max-age=60"), (b"vary", b"*")], 200, "vary"),
        ([control("max-age=60"), (b"vary", b"accept, *")], 200, "vary"),
        ([control("max-age=60"), (b"content-range", b"bytes 0-1/2")], 206, "status"),
        ([control("max-age=60")], 304, "status"),
        ([control("max-age=60, must-understand")], 299, "status"),
        ([], 200, "no-freshness"),
        ([control("max-age=0")], 200, "no-freshness"),
        ([control("no-cache")], 200, "no-freshness"),
        ([ETAG], 302, "no-freshness"),
        ([(b"last-modified", format_date(NOW - DAY))], 302, "no-freshness"),
        ([ETAG, control("max-age=0")], 404, "no-freshness"),
        ([control("max-age=60"), (b"age", b"60")], 200, "no-freshness"),
    ],
)
def test_what_is_not_stored(headers: list[Header], status: int, reason: str) -> None:
    assert refusal(*headers, status=status) == reason


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([control("max-age=60")], 200),
        ([control("max-age=60")], 302),
        ([control("max-age=60")], 500),
        ([control("max-age=60")], 299),
        ([control("s-maxage=60, no-store, must-understand")], 200),
        ([(b"expires", format_date(NOW + MINUTE))], 404),
        ([(b"last-modified", format_date(NOW - DAY))], 410),
        ([ETAG], 200),
        ([ETAG, control("no-cache")], 200),
        ([control('max-age=60, private="set-cookie"'), (b"set-cookie", b"a=1")], 200),
        ([control("max-age=0, stale-if-error=60")], 200),
    ],
)
def test_what_is_stored(headers: list[Header], status: int) -> None:
    terms(*headers, status=status)


def test_a_request_may_forbid_to_store() -> None:
    assert refusal(control("max-age=60"), no_store=True) == "no-store"


@pytest.mark.parametrize("said", ["public, max-age=9", "s-maxage=9", "max-age=9, must-revalidate"])
def test_requests_with_credentials_share_what_allows_it(said: str) -> None:
    assert terms(control(said), credentials=True).shared
    assert refusal(control("max-age=9"), credentials=True) == "credentials"
    assert not terms(control("max-age=9")).shared


# -- freshness


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([control("max-age=60")], 60),
        ([control("max-age=60, s-maxage=5")], 5),
        ([control("max-age=60, max-age=7")], 7),
        ([control("max-age=soon"), (b"expires", format_date(NOW + HOUR))], 0),
        ([control("max-age=60, no-cache")], 0),
        ([control('max-age=60, no-cache="a"')], 60),
        ([(b"expires", format_date(NOW + MINUTE))], 60),
        ([(b"expires", format_date(NOW + MINUTE)), (b"date", format_date(NOW - HOUR))], 3_660),
        ([(b"expires", format_date(NOW - MINUTE))], 0),
        ([(b"expires", b"0")], 0),
        ([(b"expires", format_date(NOW + HOUR)), (b"expires", format_date(NOW + HOUR))], 0),
        ([control("max-age=1"), (b"expires", format_date(NOW + HOUR))], 1),
        ([(b"last-modified", format_date(NOW - 1_000 * SECOND))], 100),
        ([(b"last-modified", format_date(NOW - 1_000 * DAY))], 86_400),
        ([(b"last-modified", format_date(NOW + DAY))], 0),
        ([(b"last-modified", b"yesterday")], 0),
        ([], 0),
        ([control(f"max-age={10**30}")], FOREVER),
        ([(b"expires", b"Fri, 31 Dec 9999 23:59:59 GMT")], FOREVER),
    ],
)
def test_for_how_long_an_answer_is_fresh(headers: list[Header], seconds: int) -> None:
    assert lifetime(*headers) == seconds


def test_settings_speak_where_the_answer_does_not() -> None:
    modified = (b"last-modified", format_date(NOW - 1_000 * SECOND))
    assert lifetime(default_ttl=30) == 30
    assert lifetime(modified, default_ttl=30) == 30
    assert lifetime(control("max-age=5"), default_ttl=30) == 5
    assert lifetime(control("no-cache"), default_ttl=30) == 0
    assert lifetime(modified, max_heuristic_ttl=10) == 10
    assert lifetime(modified, max_heuristic_ttl=0) == 0
    assert (
        terms(status=302, settings=CacheSettings(default_ttl=30, statuses=frozenset({302}))).fresh_until
        == NOW + 30 * SECOND
    )
    assert refusal(settings=CacheSettings(default_ttl=30, statuses=frozenset({302}))) == "no-freshness"


def test_public_lets_any_status_be_fresh_by_its_age() -> None:
    headers = [control("public"), (b"last-modified", format_date(NOW - 1_000 * SECOND))]
    assert terms(*headers, status=302).fresh_until == NOW + 100 * SECOND


@pytest.mark.parametrize(
    ("headers", "took", "age"),
    [
        ([], 0, 0),
        ([(b"date", format_date(NOW))], 0, 0),
        ([(b"date", format_date(NOW - MINUTE))], 0, 60),
        ([(b"date", format_date(NOW + MINUTE))], 0, 0),
        ([(b"date", b"now")], 0, 0),
        ([(b"age", b"30")], 0, 30),
        ([(b"age", b"30"), (b"date", format_date(NOW - MINUTE))], 0, 60),
        ([(b"age", b"90"), (b"date", format_date(NOW - MINUTE))], 0, 90),
        ([(b"age", b"30")], 5, 35),
        ([], 5, 5),
        ([], -5, 0),
        ([(b"age", b"-3")], 0, 0),
        ([(b"age", b"7, 9"), (b"age", b"1")], 0, 7),
        ([(b"age", b"9" * 40)], 0, FOREVER),
    ],
)
def test_how_old_an_answer_is_when_it_comes(headers: list[Header], took: int, age: int) -> None:
    made = terms(*headers, ETAG, took=took * SECOND)
    assert NOW - made.born == age * SECOND


@given(
    age=st.integers(0, 2 * FOREVER),
    apparent=st.integers(-(10**9), 10**9),
    took=st.integers(0, 10**9),
    max_age=st.integers(0, 2 * FOREVER),
    later=st.integers(0, 10**17),
)
def test_freshness_is_that_of_the_rfc(*, age: int, apparent: int, took: int, max_age: int, later: int) -> None:
    """RFC 9111, 4.2 and 4.2.3, with its own names."""
    request_time, response_time, now = NOW - took, NOW, NOW + later
    date_value = NOW // SECOND * SECOND - apparent * SECOND
    age_value = min(age, FOREVER) * SECOND
    made = judge(
        Answer(
            200,
            [control(f"max-age={max_age}"), ETAG, (b"age", b"%d" % age), (b"date", format_date(date_value))],
            request_time,
            response_time,
        ),
        settings=SETTINGS,
    )
    assert isinstance(made, Terms)
    apparent_age = max(0, response_time - date_value)
    response_delay = response_time - request_time
    corrected_age_value = age_value + response_delay
    corrected_initial_age = max(apparent_age, corrected_age_value)
    resident_time = now - response_time
    current_age = corrected_initial_age + resident_time
    assert now - made.born == current_age
    assert may_answer(made, NOTHING, now=now) is (min(max_age, FOREVER) * SECOND > current_age)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"age", b"date", b"expires", b"last-modified", b"cache-control", b"vary", b"etag"]),
            st.binary(max_size=30) | st.sampled_from([b"1", b"max-age=5", b"public", b"0", format_date(NOW)]),
        ),
        max_size=8,
    ),
    st.sampled_from([200, 204, 301, 302, 404, 500]),
    st.integers(-(10**15), 10**15),
)
def test_no_header_breaks_it(headers: list[Header], status: int, took: int) -> None:
    made = judge(answer(*headers, status=status, took=took), settings=SETTINGS)
    if isinstance(made, Terms):
        assert made.born <= NOW
        assert 0 <= made.fresh_until - made.born <= FOREVER * SECOND
        assert made.fresh_until <= made.stale_until
        assert made.fresh_until <= made.error_until
        assert kept_headers(answer(*headers, status=status), made, length=3)


def test_an_age_is_never_negative() -> None:
    assert initial_age({}, date=NOW + DAY, requested=NOW + DAY, received=NOW) == 0


# -- what a request asks for

FRESH = terms(control("max-age=60"))
"""Fresh for a minute from NOW."""


@pytest.mark.parametrize(
    ("asked", "seconds", "given"),
    [
        ("", 0, True),
        ("", 59, True),
        ("", 60, False),
        ("no-cache", 0, False),
        ("max-age=10", 10, True),
        ("max-age=10", 11, False),
        ("max-age=0", 0, False),
        ("min-fresh=20", 40, True),
        ("min-fresh=20", 41, False),
        ("min-fresh=x", 0, False),
        ("max-stale", 10**8, True),
        ("max-stale=10", 70, True),
        ("max-stale=10", 71, False),
        ("max-stale=10, no-cache", 0, False),
        ("max-stale, max-age=10", 70, False),
        ("no-store", 10, True),
        ("only-if-cached", 10, True),
    ],
)
def test_what_a_request_may_be_given(asked: str, seconds: int, given: bool) -> None:
    assert may_answer(FRESH, parse_directives([asked.encode()]), now=NOW + seconds * SECOND) is given


@pytest.mark.parametrize(
    "said", ["max-age=60, must-revalidate", "max-age=60, proxy-revalidate", "s-maxage=60", "no-cache"]
)
def test_some_answers_are_never_given_stale_at_a_request_s_word(said: str) -> None:
    made = terms(control(said), ETAG)
    assert not may_answer(made, parse_directives([b"max-stale"]), now=NOW + 61 * SECOND)
    assert not may_answer_on_error(made, parse_directives([b"stale-if-error=99"]), now=NOW + 61 * SECOND)


@pytest.mark.parametrize(
    ("said", "more", "while_revalidate", "if_error"),
    [
        ("max-age=60", {}, 0, 0),
        ("max-age=60, stale-while-revalidate=5, stale-if-error=9", {}, 5, 9),
        ("max-age=60, stale-if-error=9, must-revalidate", {}, 0, 0),
        ("max-age=60, stale-while-revalidate=9, proxy-revalidate", {}, 0, 0),
        ("s-maxage=60, stale-while-revalidate=5, stale-if-error=9", {}, 5, 9),
        ("max-age=60", {"stale_while_revalidate": 7, "stale_if_error": 8}, 7, 8),
        ("max-age=60, stale-if-error=1", {"stale_while_revalidate": 7, "stale_if_error": 8}, 7, 1),
        ("max-age=60, must-revalidate", {"stale_while_revalidate": 7, "stale_if_error": 8}, 0, 0),
        ("s-maxage=60", {"stale_while_revalidate": 7, "stale_if_error": 8}, 0, 0),
        ("s-maxage=60, stale-if-error=3", {"stale_while_revalidate": 7}, 0, 3),
    ],
)
def test_for_how_long_stale_answers_help(
    said: str, more: dict[str, float], while_revalidate: int, if_error: int
) -> None:
    made = terms(control(said), settings=CacheSettings.model_validate(more))
    end = NOW + 60 * SECOND
    assert made.stale_until == end + while_revalidate * SECOND
    assert made.error_until == end + if_error * SECOND
    assert may_answer_stale(made, NOTHING, now=made.stale_until - 1)
    assert not may_answer_stale(made, NOTHING, now=made.stale_until)
    assert may_answer_on_error(made, NOTHING, now=made.error_until - 1)
    assert not may_answer_on_error(made, NOTHING, now=made.error_until)


@pytest.mark.parametrize("asked", [b"no-cache", b"max-age=99", b"min-fresh=0"])
def test_who_asks_for_something_fresh_waits_for_it(asked: bytes) -> None:
    made = terms(control("max-age=60, stale-while-revalidate=60"))
    assert not may_answer_stale(made, parse_directives([asked]), now=NOW + 61 * SECOND)


def test_a_request_may_take_a_stale_answer_for_an_error() -> None:
    assert may_answer_on_error(FRESH, parse_directives([b"stale-if-error=5"]), now=NOW + 64 * SECOND)
    assert not may_answer_on_error(FRESH, parse_directives([b"stale-if-error=5, no-cache"]), now=NOW)


# -- which stored answer fits


@pytest.mark.parametrize(
    ("values", "more", "names"),
    [
        ([], [], ()),
        ([b"Accept-Encoding, accept", b"Accept"], [], (b"accept", b"accept-encoding")),
        ([b"accept"], ["x-tenant"], (b"accept", b"x-tenant")),
        ([b", ,"], [], ()),
        ([b"Host, X-Forwarded-Host, X-Forwarded-Proto"], [], ()),
        ([b"*"], [], None),
        ([b"accept", b" * "], [], None),
        ([b"x-forwarded-for"], [], None),
        ([b"Forwarded"], [], None),
        ([b"X-Request-ID"], [], None),
        ([b",".join(b"a%d" % number for number in range(MAX_VARY + 1))], [], None),
    ],
)
def test_what_answers_vary_by(values: list[bytes], more: list[str], names: tuple[bytes, ...] | None) -> None:
    assert vary_names(values, more) == names


ORIGIN = b"http://hub.test"


@pytest.mark.parametrize(
    ("name", "one", "other", "alike"),
    [
        (b"accept-encoding", [b"gzip, br"], [b"BR,gzip"], True),
        (b"accept-encoding", [b"gzip", b"br"], [b"gzip;q=1.0, br"], False),
        (b"accept-encoding", [b"gzip; q=1"], [b"gzip;q=1"], True),
        (b"accept", [b"a/b, c/d"], [b"A/B,c/d"], True),
        (b"accept", [b"a/b, c/d"], [b"c/d, a/b"], False),
        (b"x-tenant", [b"a"], [b"A"], False),
        (b"x-tenant", [b"a", b"b"], [b"a,b"], True),
        (b"x-tenant", [], [b""], False),
        (b"x-tenant", [], [], True),
        (b"x-tenant", [b"a"], [], False),
    ],
)
def test_requests_for_which_the_same_answer_fits(
    name: bytes, one: list[bytes], other: list[bytes], alike: bool
) -> None:
    selected = [selector((name,), [(b"x", b"y"), *((name, value) for value in each)], ORIGIN) for each in (one, other)]
    assert (selected[0] == selected[1]) is alike


def test_the_host_asked_always_selects() -> None:
    assert selector((), [], ORIGIN) == ORIGIN
    assert selector((b"a",), [], ORIGIN) != selector((b"a",), [], b"http://other.test")


@given(st.lists(st.lists(st.binary(max_size=4), max_size=2), min_size=2, max_size=2), st.binary(max_size=4))
def test_values_of_two_headers_never_run_together(values: list[list[bytes]], other: bytes) -> None:
    names = (b"x-a", b"x-b")
    headers = [(name, value) for name, own in zip(names, values, strict=True) for value in own]
    swapped = [(b"x-a", b",".join(values[0]) + other), *((b"x-b", value) for value in values[1])]
    same = normalized(b"x-a", b",".join(values[0])) == normalized(b"x-a", b",".join(values[0]) + other)
    assert (selector(names, headers, ORIGIN) == selector(names, swapped, ORIGIN)) is (same and bool(values[0]))


# -- settings


def test_the_cache_is_off_by_default_and_its_settings_are_checked() -> None:
    assert not SETTINGS.enabled
    assert SETTINGS.statuses == HEURISTIC_STATUSES
    assert CacheSettings(vary=["X-Tenant"]).vary == ["x-tenant"]
    for wrong in ({"vary": ["a b"]}, {"default_ttl": 0}, {"max_body": -1}, {"stale_if_error": -1}, {"ttl": 1}):
        with pytest.raises(ValidationError):
            CacheSettings.model_validate(wrong)
