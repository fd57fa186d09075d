import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from signalbox.core.errors import RetryableError, TooManyError
from signalbox.core.times import MICROSECONDS
from signalbox.gateway.limits import Limits, LimitSettings, RateLimitedError, UpstreamLimits, network_of
from signalbox.gateway.paths import canonical, sanitize_path
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.limits.memory import MemoryLimiter

IP, OTHER = "10.0.0.1", "10.0.0.2"
SECOND = MICROSECONDS


def limits(*settings: dict[str, Any], limiter: MemoryLimiter | None = None, upstream: str = "shop") -> UpstreamLimits:
    made = [LimitSettings.model_validate(each) for each in settings]
    return UpstreamLimits(made, limiter or MemoryLimiter(ManualClock()), upstream)


def passes(subject: UpstreamLimits, path: str = "/", *, client: str = IP, app: str | None = None, now: int = 0) -> bool:
    try:
        subject.check(client, app, canonical(sanitize_path(path.encode())), now)
    except RateLimitedError:
        return False
    return True


def applies(pattern: str, path: str) -> bool:
    return bool(limits({"by": "path", "pattern": pattern, "rate": "5/s"}).check(IP, None, path.encode(), 0))


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"by": "ip"},
        {"by": "ip", "pattern": "/"},
        {"by": "path", "pattern": "/*"},
        {"by": "ip+path", "pattern": "/a/*/b/*"},
        {"by": "app", "pattern": "/a%20b/c;d=1"},
        {"by": "ip+app", "rate": "1000000/1d"},
    ],
)
def test_what_is_allowed(fields: dict[str, Any]) -> None:
    made = LimitSettings.model_validate({"rate": "50/30s", **fields})
    assert str(made.rate) == fields.get("rate", "50/30s")
    assert LimitSettings.model_validate(made.model_dump(mode="json")) == made


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"by": "path"}, "a limit by path needs a pattern"),
        ({"by": "ip+path"}, "a limit by ip\\+path needs a pattern"),
        ({"by": "user"}, "'ip', 'path'"),
        ({}, "Field required"),
        ({"by": "ip", "rate": "5"}, "'5' is not a rate"),
        ({"by": "ip", "rate": "1000001/1d"}, "at most 1000000 calls"),
        ({"by": "ip", "burst": 5}, "Extra inputs"),
        ({"by": "ip", "pattern": ""}, "starts with /"),
        ({"by": "ip", "pattern": "*"}, "starts with /"),
        ({"by": "ip", "pattern": "/a//b"}, "no empty segment"),
        ({"by": "ip", "pattern": "/é"}, "starts with /"),
        ({"by": "ip", "pattern": "/a?b"}, "no query"),
        ({"by": "ip", "pattern": "/a#b"}, "no query"),
        ({"by": "ip", "pattern": "/a/../b"}, "dot segments"),
        ({"by": "ip", "pattern": "/a b"}, "percent-encoded"),
        ({"by": "ip", "pattern": "/a*"}, "only as a whole segment"),
        ({"by": "ip", "pattern": "/**"}, "only as a whole segment"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        LimitSettings.model_validate({"rate": "5/s", **fields})


def test_two_limits_that_are_the_same_are_refused() -> None:
    field: TypeAdapter[list[LimitSettings]] = TypeAdapter(Limits)
    different = [{"by": "ip", "rate": "5/s"}, {"by": "ip", "rate": "5/m"}, {"by": "ip", "rate": "5/s", "pattern": "/a"}]
    assert len(field.validate_python(different)) == 3
    with pytest.raises(ValidationError, match="the limit by ip of 5/1s stands there twice"):
        field.validate_python([*different, {"by": "ip", "rate": "5/1s"}])


# -- patterns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/categories/*", "/categories/1", True),
        ("/categories/*", "/categories/1/2/3", True),
        ("/categories/*", "/categories", False),
        ("/categories/*", "/categories/", False),
        ("/categories/*", "/categories2/1", False),
        ("/categories/*", "/x/categories/1", False),
        ("/categories/*/", "/categories/1/2", True),
        ("/*", "/a", True),
        ("/*", "/", False),
        ("/", "/", True),
        ("/", "/a", False),
        ("/a", "/a", True),
        ("/a", "/a/", True),
        ("/a/", "/a", True),
        ("/a", "/a/b", False),
        ("/a", "/A", False),
        ("/users/*/orders", "/users/7/orders", True),
        ("/users/*/orders", "/users/7/orders/", True),
        ("/users/*/orders", "/users/7/8/orders", False),
        ("/users/*/orders", "/users//orders", False),
        ("/users/*/orders/*", "/users/7/orders/8/9", True),
        ("/users/*/orders/*", "/users/7/orders/", False),
        ("/a.b", "/a.b", True),
        ("/a.b", "/axb", False),
        ("/%61/*", "/a/b", True),
        ("/a%2fb", "/a%2Fb", True),
        ("/%2A", "/*", True),
        ("/%2A", "/x", False),
    ],
)
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    assert applies(pattern, path) == fits


SPELLINGS = """
    /items/5  //items/5  /items//5  /%69tems/5  /items/%35  /x/../items/5  /./items/5  /items/5/../6  /items/5;v=1
    /x/%2e%2E/items/5  /items%2F5  /items%5C5  /items;v=1/5  /x%2F..%2Fitems/5
"""


@pytest.mark.parametrize("spelling", SPELLINGS.split())
def test_no_spelling_of_a_path_slips_past(spelling: str) -> None:
    subject = limits({"by": "path", "pattern": "/items/*", "rate": "1/1m"})
    assert passes(subject, spelling)
    assert not passes(subject, "/items/7")
    other = limits({"by": "ip+path", "pattern": "/items/*", "rate": "1/1m"})
    assert passes(other, "/items/7")
    assert not passes(other, spelling)


@given(st.text(st.sampled_from("ab*"), max_size=12).map(lambda text: "/" + "/".join(text)))
def test_a_pattern_agrees_with_its_definition(pattern: str) -> None:
    segments = pattern.split("/")[1:]
    for path in ("/a/b/a", "/a", "/b/b", "/", "/a/b", "/b/a/b/a", "/a/"):
        asked = path.rstrip("/").split("/")[1:]
        expected = _fits(segments if segments != [""] else [], asked)
        assert applies(pattern, path) == expected, path


def _fits(pattern: list[str], path: list[str]) -> bool:
    if pattern[-1:] == ["*"]:
        return len(path) >= len(pattern) and _same(pattern[:-1], path)
    return len(pattern) == len(path) and _same(pattern, path)


def _same(pattern: list[str], path: list[str]) -> bool:
    return all(expected in {"*", given} for expected, given in zip(pattern, path, strict=False))


# -- whom a limit counts ----------------------------------------------------------------------------------------------


def test_by_ip_each_address_has_its_own_counter() -> None:
    subject = limits({"by": "ip", "rate": "2/1m"})
    assert [passes(subject, f"/{number}") for number in range(3)] == [True, True, False]
    assert passes(subject, client=OTHER)


def test_by_path_all_callers_share_one_counter() -> None:
    subject = limits({"by": "path", "pattern": "/a/*", "rate": "2/1m"})
    assert passes(subject, "/a/1")
    assert passes(subject, "/a/2", client=OTHER, app="bot")
    assert not passes(subject, "/a/3", client="10.0.0.3")
    assert passes(subject, "/b/3")


def test_by_ip_and_path_each_address_has_one_counter_for_the_pattern() -> None:
    subject = limits({"by": "ip+path", "pattern": "/a/*", "rate": "1/1m"})
    assert passes(subject, "/a/1")
    assert not passes(subject, "/a/2")
    assert passes(subject, "/a/2", client=OTHER)
    assert passes(subject, "/b")


def test_by_app_calls_without_one_are_not_limited() -> None:
    subject = limits({"by": "app", "rate": "1/1m"})
    assert passes(subject, app="bot")
    assert not passes(subject, app="bot", client=OTHER)
    assert passes(subject, app="cat")
    assert all(passes(subject) for _ in range(5))
    assert subject.check(IP, None, b"/", 0) == []


def test_by_ip_and_app_each_pair_has_its_own_counter() -> None:
    subject = limits({"by": "ip+app", "rate": "1/1m"})
    assert passes(subject, app="bot")
    assert not passes(subject, app="bot")
    assert passes(subject, app="bot", client=OTHER)
    assert passes(subject, app="cat")
    assert passes(subject)


def test_limits_with_a_pattern_leave_other_paths_alone() -> None:
    subject = limits({"by": "app", "pattern": "/a/*", "rate": "1/1m"}, {"by": "ip", "pattern": "/b", "rate": "1/1m"})
    assert all(passes(subject, "/c", app="bot") for _ in range(3))
    assert passes(subject, "/a/1", app="bot")
    assert not passes(subject, "/a/2", app="bot")
    assert passes(subject, "/b", app="bot")


def test_a_refused_call_counts_nowhere() -> None:
    subject = limits({"by": "ip", "rate": "3/1m"}, {"by": "path", "pattern": "/a", "rate": "1/1m"})
    assert passes(subject, "/a")
    assert not any(passes(subject, "/a") for _ in range(5))
    assert [passes(subject, "/b") for _ in range(3)] == [True, True, False]


def test_upstreams_and_patterns_do_not_share_counters() -> None:
    limiter = MemoryLimiter(ManualClock())
    both = [{"by": "ip", "rate": "1/1m", "pattern": pattern} for pattern in ("/a", "/b")]
    subjects = [limits(*both, limiter=limiter, upstream=name) for name in ("one", "two")]
    assert all(passes(subject, path) for subject in subjects for path in ("/a", "/b"))
    assert not any(passes(subject, path) for subject in subjects for path in ("/a", "/b"))


def test_new_settings_keep_what_has_been_counted() -> None:
    limiter = MemoryLimiter(ManualClock())
    limit = {"by": "ip", "rate": "1/1m"}
    assert passes(limits(limit, limiter=limiter))
    assert not passes(limits({"by": "ip", "rate": "5/1s"}, limit, limiter=limiter))


@pytest.mark.parametrize(
    ("client", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:DB8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::FFFF:a00:1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", "unix:"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_networks(client: str, network: str) -> None:
    assert network_of(client) == network


def test_the_addresses_of_an_ipv6_network_share_a_counter() -> None:
    subject = limits({"by": "ip", "rate": "1/1m"})
    assert passes(subject, client="2001:db8::1")
    assert not passes(subject, client="2001:db8::2")
    assert passes(subject, client="2001:db8:0:1::1")


# -- what the answers tell --------------------------------------------------------------------------------------------

THREE = [
    {"by": "ip", "rate": "1000/1m"},
    {"by": "path", "pattern": "/categories/*", "rate": "20/1h"},
    {"by": "ip", "rate": "5/1s"},
]


def test_headers() -> None:
    subject = limits(*THREE)
    assert subject.check(IP, None, b"/categories/1", 0) == [
        (b"ratelimit-policy", b'"shop:ip";q=1000;w=60, "shop:path";q=20;w=3600, "shop:ip-2";q=5;w=1'),
        (b"ratelimit", b'"shop:ip";r=999;t=60, "shop:path";r=19;t=3600, "shop:ip-2";r=4;t=1'),
    ]
    assert subject.check(IP, None, b"/other", 30_000_001) == [
        (b"ratelimit-policy", b'"shop:ip";q=1000;w=60, "shop:ip-2";q=5;w=1'),
        (b"ratelimit", b'"shop:ip";r=998;t=30, "shop:ip-2";r=4;t=1'),
    ]


def test_without_a_limit_that_applies_there_are_no_headers() -> None:
    assert limits().check(IP, None, b"/", 0) == []
    assert limits(THREE[1]).check(IP, None, b"/", 0) == []


def test_a_refusal() -> None:
    subject = limits({"by": "ip", "rate": "9/1m"}, {"by": "ip+path", "pattern": "/items/*", "rate": "1/10s"})
    subject.check(IP, None, b"/items/1", 0)
    with pytest.raises(RateLimitedError) as caught:
        subject.check(IP, None, b"/items/2", 2_500_000)
    error = caught.value
    assert isinstance(error, TooManyError)
    assert isinstance(error, RetryableError)
    assert (error.code, error.retry_after) == ("rate_limited", 7.5)
    assert str(error) == (
        "each address may make 1 calls to /items/* of the upstream shop in any 10s; call again in 8 s"
    )
    assert error.headers == (
        (b"ratelimit-policy", b'"shop:ip";q=9;w=60, "shop:ip+path";q=1;w=10'),
        (b"ratelimit", b'"shop:ip+path";r=0;t=8'),
    )


def test_a_refusal_by_several_limits_names_the_longest_wait() -> None:
    subject = limits(
        {"by": "app", "rate": "1/1m"}, {"by": "ip", "rate": "1/1h"}, {"by": "path", "pattern": "/", "rate": "9/s"}
    )
    subject.check(IP, "bot", b"/", 0)
    with pytest.raises(
        RateLimitedError, match="each address may make 1 calls of the upstream shop in any 1h"
    ) as caught:
        subject.check(IP, "bot", b"/", SECOND)
    assert caught.value.retry_after == 3_599
    assert caught.value.headers[1] == (b"ratelimit", b'"shop:app";r=0;t=59, "shop:ip";r=0;t=3599')


@given(
    st.lists(st.tuples(st.integers(0, 2 * SECOND), st.sampled_from([b"/", b"/a", b"/a/b"]), st.booleans()), max_size=60)
)
def test_who_waits_as_told_passes_and_headers_are_well_formed(calls: list[tuple[int, bytes, bool]]) -> None:
    subject = limits(
        {"by": "ip", "rate": "4/5s"}, {"by": "path", "pattern": "/a/*", "rate": "2/7s"}, {"by": "app", "rate": "1/s"}
    )
    item = r'"shop:(ip|path|app)";r=(\d+);t=(\d+)'
    now = 0
    for step, path, with_app in calls:
        now += step
        app = "bot" if with_app else None
        try:
            headers = subject.check(IP, app, path, now)
        except RateLimitedError as error:
            told = re.findall(item, error.headers[1][1].decode())
            assert {remaining for _, remaining, _ in told} == {"0"}
            assert max(int(wait) for _, _, wait in told) == -(-error.retry_after // 1)
            now += round(error.retry_after * SECOND)
            headers = subject.check(IP, app, path, now)
        assert re.fullmatch(rf"{item}(, {item})*", headers[1][1].decode())


async def test_usage() -> None:
    subject = limits(
        {"by": "ip", "rate": "9/1m"}, {"by": "path", "pattern": "/a", "rate": "9/1m"}, {"by": "ip+app", "rate": "9/1m"}
    )
    for number in range(3):
        for _ in range(number + 1):
            subject.check(f"10.0.0.{number}", "bot" if number else None, b"/a", 0)
    by_ip, by_path, by_both = await subject.usage(top=2)
    assert (by_ip.name, by_ip.settings.by, by_ip.keys) == ("shop:ip", "ip", 3)
    assert by_ip.fullest == [("10.0.0.2", 3), ("10.0.0.1", 2)]
    assert (by_path.keys, by_path.fullest) == (1, [("", 6)])
    assert by_both.fullest == [("bot@10.0.0.2", 3), ("bot@10.0.0.1", 2)]
