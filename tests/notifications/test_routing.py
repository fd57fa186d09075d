import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.times import to_datetime
from signalbox.notifications.routing import (
    SEVERITIES,
    Labels,
    Route,
    compile_routing,
    find_routes,
    label,
    look_up,
    quiet_until,
    rank,
    to_key,
    to_matcher,
    to_pattern,
    to_ways,
)
from signalbox.notifications.settings import MatcherSettings, NotificationSettings, QuietSettings

CHANNELS = ("a", "b", "c")
HOUR = 3_600_000_000
WINTER = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z

words = st.sampled_from(["task", "task.error", "task.dead", "sales", "gateway.up", "*", "task.*", "*.dead", "s*s"])
topics = st.sampled_from(["task", "task.error", "task.dead", "sales", "gateway.up", "other"])
severities = st.sampled_from(SEVERITIES)
routes = st.fixed_dictionaries(
    {
        "topic": st.lists(words, min_size=1, max_size=3),
        "severity": severities,
        "channels": st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=3),
        "continue": st.booleans(),
    },
    optional={"app": st.sampled_from(["shop", "sh*", "*"]), "metadata": st.just({"region": "eu*"})},
)
messages = st.builds(
    Labels,
    topic=topics,
    severity=severities,
    app=st.sampled_from([None, "shop", "ship", "other"]),
    metadata=st.sampled_from([{}, {"region": "eu-1"}, {"region": "us"}, {"region": ["eu"]}]),
)


def settings(**values: Any) -> NotificationSettings:
    channels = [{"kind": "log", "name": name} for name in CHANNELS]
    return NotificationSettings.model_validate({"channels": channels, **values})


def fits(route: dict[str, Any], message: Labels) -> bool:
    """The rule, said once more and differently."""

    def like(pattern: str, text: str) -> bool:
        return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) is not None

    return (
        any(like(topic, message.topic) for topic in route["topic"])
        and SEVERITIES.index(message.severity) >= SEVERITIES.index(route["severity"])
        and like(route.get("app", "*"), message.app or "")
        and ("metadata" not in route or str(message.metadata.get("region", "")).startswith("eu"))
    )


@given(st.lists(routes, max_size=6), st.none() | routes, messages)
def test_the_first_route_that_fits_takes_a_message_and_others_where_it_says_continue(
    given_routes: list[dict[str, Any]], default: dict[str, Any] | None, message: Labels
) -> None:
    found = find_routes(compile_routing(settings(routes=given_routes, default=default)), message)
    expected = []
    for number, route in enumerate(given_routes):
        if fits(route, message):
            expected.append(f"routes[{number}]")
            if not route["continue"]:
                break
    if not expected and default is not None and fits(default, message):
        expected = ["default"]
    assert [route.name for route in found] == expected


@given(st.lists(routes, max_size=6), messages)
def test_each_channel_gets_a_message_once_by_the_first_route_that_names_it(
    given_routes: list[dict[str, Any]], message: Labels
) -> None:
    found = find_routes(compile_routing(settings(routes=given_routes)), message)
    ways = to_ways(found)
    assert [way.channel for way in ways] == list(dict.fromkeys(name for route in found for name in route.channels))
    for way in ways:
        assert way.route is next(route for route in found if way.channel in route.channels)


@given(st.lists(routes, max_size=4), messages)
def test_a_route_more_at_the_end_takes_nothing_from_those_before(
    given_routes: list[dict[str, Any]], message: Labels
) -> None:
    def names(found: list[Route]) -> list[str]:
        return [route.name for route in found]

    fewer = names(find_routes(compile_routing(settings(routes=given_routes)), message))
    catch_all = {"topic": "*", "channels": ["a"]}
    more = names(find_routes(compile_routing(settings(routes=[*given_routes, catch_all])), message))
    assert more[: len(fewer)] == fewer
    assert more


@given(st.text(max_size=20), st.text(max_size=20))
def test_all_but_the_star_is_literal(before: str, after: str) -> None:
    text = before.replace("*", "") + after.replace("*", "")
    assert to_pattern(text).fullmatch(text)
    assert to_pattern(f"{before.replace('*', '')}*{after.replace('*', '')}").fullmatch(text)


def test_metadata_is_found_by_its_path() -> None:
    matcher = to_matcher(MatcherSettings(metadata={"issue.labels.0.name": "bug", "count": "3"}))
    document = {"issue": {"labels": [{"name": "bug"}]}, "count": 3}
    assert matcher.fits(Labels("x", metadata=document))
    assert not matcher.fits(Labels("x", metadata={"issue": {"labels": []}, "count": 3}))
    assert look_up(document, "issue.labels.1.name") is None
    assert look_up(document, "issue.labels.-1") is None
    assert look_up({"a": "text"}, "a.0") is None


def test_messages_with_equal_labels_share_a_key() -> None:
    one = Labels("t", app="shop", customer="c", metadata={"region": "eu", "host": "1"})
    other = one._replace(metadata={"region": "eu", "host": "2"})
    assert to_key(one, ["topic", "region"]) == to_key(other, ["topic", "region"])
    assert to_key(one, ["host"]) != to_key(other, ["host"])
    assert to_key(one, ["topic"], "slack") != to_key(one, ["topic"], "mail")
    assert [label(one, name) for name in ("topic", "severity", "app", "customer", "nothing")] == [
        "t",
        "info",
        "shop",
        "c",
        "",
    ]


def test_an_unknown_severity_counts_as_the_least() -> None:
    assert [rank(each) for each in (*SEVERITIES, "odd")] == [0, 1, 2, 3, 0]


@pytest.mark.parametrize(
    ("start", "end", "zone", "hour", "until"),
    [
        ("22:00", "07:00", "UTC", 0, 7),
        ("22:00", "07:00", "UTC", 7, None),
        ("22:00", "07:00", "UTC", 21.9, None),
        ("22:00", "07:00", "UTC", 23, 31),
        ("08:00", "09:30", "UTC", 8.5, 9.5),
        ("08:00", "09:30", "UTC", 9.5, None),
        ("22:00", "07:00", "Europe/Berlin", 5.5, 6),
        ("22:00", "07:00", "Europe/Berlin", 6, None),
        ("22:00", "07:00", "America/New_York", 4, 12),
    ],
)
def test_quiet_hours_end_by_the_wall_clock_of_their_zone(
    start: str, end: str, zone: str, hour: float, until: float | None
) -> None:
    quiet = QuietSettings(start=start, end=end, zone=zone)
    found = quiet_until(quiet, "error", WINTER + round(hour * HOUR))
    assert found == (None if until is None else WINTER + round(until * HOUR))


def test_the_severe_are_told_in_quiet_hours_too() -> None:
    quiet = QuietSettings(start="22:00", end="07:00", below="error")
    assert quiet_until(quiet, "warning", WINTER) is not None
    assert quiet_until(quiet, "error", WINTER) is None
    assert quiet_until(quiet, "critical", WINTER) is None
    assert quiet_until(None, "info", WINTER) is None


@given(st.integers(0, 366 * 24 * 60 - 1), st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]))
def test_what_is_held_back_is_told_within_a_day_and_outside_of_quiet_hours(minute: int, zone: str) -> None:
    quiet, now = QuietSettings(start="22:00", end="02:30", zone=zone), WINTER + minute * 60_000_000
    until = quiet_until(quiet, "info", now)
    assert until is None or now < until <= now + 25 * HOUR, to_datetime(now)
