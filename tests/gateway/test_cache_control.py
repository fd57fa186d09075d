import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.times import MICROSECONDS, to_micros
from signalbox.gateway.cache_control import (
    FOREVER,
    NOTHING,
    Directives,
    by_name,
    format_date,
    parse_date,
    parse_directives,
    parse_seconds,
)

NOW = 1_767_225_600_000_000
NUMBERS = (
    "max-age", "s-maxage", "min-fresh", "max-stale", "stale-while-revalidate", "stale-if-error",
)  # fmt: skip
FLAGS = ("no-store", "no-cache", "private", "public", "must-revalidate", "must-understand", "only-if-cached")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", {}),
        (b"no-store", {"no_store": True}),
        (b"No-Store,PUBLIC", {"no_store": True, "public": True}),
        (b"max-age=60", {"max_age": 60}),
        (b"max-age=60 ,\ts-maxage=0", {"max_age": 60, "s_maxage": 0}),
        (b'max-age="60"', {"max_age": 60}),
        (b"proxy-revalidate", {"must_revalidate": True}),
        (b"max-age=1, must-revalidate", {"max_age": 1, "must_revalidate": True}),
        (b"stale-while-revalidate=5, stale-if-error=6", {"stale_while_revalidate": 5, "stale_if_error": 6}),
        (b"max-stale", {"max_stale": FOREVER}),
        (b"max-stale=5", {"max_stale": 5}),
        (b"immutable, no-transform, unknown=1, x", {}),
        (b'community="UCI, no-store", max-age=1', {"max_age": 1}),
        (rb'ext="a\", no-store", max-age=1', {"max_age": 1}),
        (b",, ,max-age=1,,", {"max_age": 1}),
        (b"xno-store, no-storex, no-store-x", {}),
        (b"max-age=99999999999999999999999", {"max_age": FOREVER}),
        (b'private="Set-Cookie, X-User"', {"withheld": frozenset({b"set-cookie", b"x-user"})}),
        (b'no-cache="set-cookie"', {"withheld": frozenset({b"set-cookie"})}),
        (b'no-cache="a", private="b"', {"withheld": frozenset({b"a", b"b"})}),
    ],
)
def test_what_directives_say(text: bytes, said: dict[str, object]) -> None:
    assert parse_directives([text]) == NOTHING._replace(**said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"max-age=60, max-age=5", {"max_age": 5}),
        (b"max-age=60, max-age=x", {"max_age": 0}),
        (b"max-age", {"max_age": 0}),
        (b"max-age=", {"max_age": 0}),
        (b"max-age=-1", {"max_age": 0}),
        (b"max-age=1.5", {"max_age": 0}),
        (b"max-age = 60", {"max_age": 0}),
        (b"max-age=\xd9\xa1", {"max_age": 0}),
        (b"s-maxage=1h", {"s_maxage": 0}),
        (b"min-fresh=x", {"min_fresh": FOREVER}),
        (b"min-fresh=1, min-fresh=9", {"min_fresh": 9}),
        (b"max-stale, max-stale=3", {"max_stale": 3}),
        (b"max-stale=x", {"max_stale": 0}),
        (b"stale-if-error=soon", {"stale_if_error": 0}),
        (b'private, private="a"', {"private": True}),
        (b'no-cache="a", no-cache', {"no_cache": True}),
        (b"private=", {"private": True}),
        (b'private=""', {"private": True}),
        (b'private="a b"', {"private": True}),
        (b'no-cache="a', {"no_cache": True}),
        (b'ext="a, no-store', {"no_store": True}),
        (b"no-store=1", {"no_store": True}),
        (b"no-store;x", {"no_store": True}),
        (b"max-age=1," + b" " * 9_000, {"no_store": True}),
    ],
)
def test_what_is_unclear_is_taken_strictly(text: bytes, said: dict[str, object]) -> None:
    got = parse_directives([text])
    assert {name: getattr(got, name) for name in said} == said


def test_lines_are_one_list() -> None:
    assert parse_directives([b"max-age=9, public", b"max-age=3"]) == NOTHING._replace(max_age=3, public=True)
    assert parse_directives([]) is NOTHING


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_any_bytes_are_read(values: list[bytes]) -> None:
    assert isinstance(parse_directives(values), Directives)


@given(st.text('ax-="\\, \t1;', max_size=60), st.sampled_from(FLAGS))
def test_whatever_comes_before_a_directive_does_not_hide_it_unless_it_is_a_closed_string(
    before: str, flag: str
) -> None:
    said = parse_directives([f"{before.replace(chr(34), '')},{flag}".encode()])
    assert said[Directives._fields.index(flag.replace("-", "_"))] is True


@given(
    st.lists(st.tuples(st.sampled_from(NUMBERS), st.integers(0, 10**12)), max_size=8), st.sets(st.sampled_from(FLAGS))
)
def test_of_several_numbers_the_strictest_counts(numbers: list[tuple[str, int]], flags: set[str]) -> None:
    said = parse_directives([", ".join([*(f"{name}={number}" for name, number in numbers), *flags]).encode()])
    for name in NUMBERS:
        values = [min(number, FOREVER) for each, number in numbers if each == name]
        pick = max if name == "min-fresh" else min
        assert getattr(said, name.replace("-", "_")) == (pick(values) if values else None)
    for flag in FLAGS:
        assert getattr(said, flag.replace("-", "_")) is (flag in flags)


@pytest.mark.parametrize("piece", [b",", b'a="', b'a="\\', b'"', b"a=", b" ", b"\\", b'a="b",', b"a,"])
def test_reading_takes_no_longer_than_there_is_to_read(piece: bytes) -> None:
    text = piece * (80_000 // len(piece))
    started = time.process_time()
    parse_directives([text])
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"0", 0),
        (b"0" * 5_000 + b"7", 7),
        (b"2147483648", FOREVER),
        (b"9" * 5_000, FOREVER),
        (b"", None),
        (b"+1", None),
        (b" 1", None),
    ],
)
def test_seconds(text: bytes, seconds: int | None) -> None:
    assert parse_seconds(text) == seconds
    assert parse_seconds(None) is None


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)))  # noqa: DTZ001 - the zone is added below
def test_dates_of_today_are_read_as_they_are_written(moment: datetime) -> None:
    micros = to_micros(moment.replace(microsecond=0, tzinfo=UTC))
    assert parse_date(format_date(micros), now=NOW) == micros


@pytest.mark.parametrize(
    "text",
    [
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
    ],
)
def test_dates_have_three_forms(text: bytes) -> None:
    assert parse_date(text, now=NOW) == 784_111_777 * MICROSECONDS


def test_a_year_of_two_digits_lies_at_most_fifty_years_ahead() -> None:
    in_2076 = to_micros(datetime(2076, 1, 1, tzinfo=UTC))
    assert parse_date(b"Wednesday, 01-Jan-76 00:00:00 GMT", now=NOW) == in_2076
    assert parse_date(b"Saturday, 01-Jan-77 00:00:00 GMT", now=NOW) == to_micros(datetime(1977, 1, 1, tzinfo=UTC))


def test_a_leap_second_is_the_one_before() -> None:
    assert parse_date(b"Sat, 31 Dec 2016 23:59:60 GMT", now=NOW) == 1_483_228_799 * MICROSECONDS


@pytest.mark.parametrize(
    "text",
    [
        b"0",
        b"-1",
        b"",
        b"Sun, 06 Nov 1994 08:49:37 CET",
        b"Sun, 31 Feb 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 25:49:37 GMT",
        b"Sun, 06 Foo 1994 08:49:37 GMT",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT, Mon",
        b"1994-11-06T08:49:37Z",
    ],
)
def test_what_is_no_date(text: bytes) -> None:
    assert parse_date(text, now=NOW) is None


@given(
    st.binary(max_size=40)
    | st.from_regex(rb"\A[A-Z][a-z]{2}, [0-9]{2} (Feb|Jun|Dec|Foo) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT\Z")
    | st.from_regex(rb"\A[A-Z][a-z]{5}, [0-9]{2}-(Feb|Dec|Foo)-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT\Z"),
    st.integers(0, 4 * 10**15),
)
def test_any_bytes_are_a_date_or_none(text: bytes, now: int) -> None:
    micros = parse_date(text, now=now)
    assert micros is None or micros % MICROSECONDS == 0


def test_values_keep_their_order() -> None:
    assert by_name([(b"a", b"2"), (b"b", b""), (b"a", b"1")]) == {b"a": [b"2", b"1"], b"b": [b""]}
