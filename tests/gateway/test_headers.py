import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.ids import is_request_id, is_traceparent
from signalbox.gateway.errors import GatewayLoopError
from signalbox.gateway.headers import (
    HOP_BY_HOP,
    REMEMBERED_WAYS,
    Header,
    Way,
    WayHeaders,
    connection_options,
    response_headers,
    split_request,
    trace_headers,
)

names = st.sampled_from(
    [b"accept", b"cookie", b"x-a", b"x-b", b"connection", b"te", b"keep-alive", b"host", b"authorization", b"via"]
)
values = st.sampled_from([b"1", b"x-a", b"close, X-B", b"keep-alive", b"a, b", b"Te,,x-a ", b""])
headers = st.lists(st.tuples(names, values), max_size=12)

STRANGER: Way = ("203.0.113.9", "http", b"hub.test")
PROXY: Way = ("10.0.0.1", "https", b"hub.test")
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def named_by_connection(pairs: list[Header]) -> set[bytes]:
    listed = [value for name, value in pairs if name == b"connection"]
    return {part.strip().lower() for value in listed for part in value.split(b",")} - {b"close", b""}


@given(headers)
def test_what_passes_is_kept_in_order_and_never_hop_by_hop(pairs: list[Header]) -> None:
    passed, _ = split_request(pairs)
    barred = HOP_BY_HOP | named_by_connection(pairs) | {b"host", b"via", b"authorization"}
    assert passed == [pair for pair in pairs if pair[0] not in barred]


@given(headers)
def test_what_needs_a_decision_is_kept_by_name(pairs: list[Header]) -> None:
    _, special = split_request(pairs)
    for name in (b"host", b"via"):
        assert special.get(name, []) == [value for key, value in pairs if key == name]


@given(headers, st.sampled_from([200, 204, 304, 500]))
def test_an_answer_keeps_all_but_hop_by_hop_headers(pairs: list[Header], status: int) -> None:
    passed = response_headers(pairs, status=status, request_id=b"id-1")
    barred = HOP_BY_HOP | named_by_connection(pairs) | {b"via"}
    assert passed[:-2] == [pair for pair in pairs if pair[0] not in barred]
    vias = [value for name, value in pairs if name == b"via"]
    assert passed[-2:] == [(b"via", b", ".join([*vias, b"1.1 signalbox"])), (b"x-request-id", b"id-1")]


def test_the_length_of_an_answer_cannot_be_declared_away() -> None:
    answer = [(b"connection", b"content-length"), (b"content-length", b"5")]
    assert (b"content-length", b"5") in response_headers(answer, status=200, request_id=b"1")


def test_answers_without_a_body_have_no_length() -> None:
    for status in (204, 304):
        passed = response_headers([(b"content-length", b"5"), (b"etag", b"x")], status=status, request_id=b"1")
        assert [name for name, _ in passed] == [b"etag", b"via", b"x-request-id"]


def test_the_request_id_of_an_upstream_is_replaced() -> None:
    passed = response_headers([(b"x-request-id", b"theirs")], status=200, request_id=b"ours")
    assert [value for name, value in passed if name == b"x-request-id"] == [b"ours"]


def test_options_of_a_connection() -> None:
    assert connection_options([b"close, X-Secret ,te", b"Keep-Alive", b",x-b"]) == {b"x-secret", b"x-b"}


def test_framing_and_host_cannot_be_declared_away() -> None:
    pairs = [(b"connection", b"host, content-length, via, x-request-id"), (b"host", b"a"), (b"content-length", b"3")]
    _, special = split_request(pairs)
    assert special[b"host"] == [b"a"]
    assert special[b"content-length"] == [b"3"]


# -- the way a request came ---------------------------------------------------------------------------------------


def of(way: Way, pairs: list[Header] | None = None) -> dict[bytes, list[bytes]]:
    made: dict[bytes, list[bytes]] = {}
    for name, value in WayHeaders().of(split_request(pairs or [])[1], way, trusted=way is PROXY):
        made.setdefault(name, []).append(value)
    return made


SPOOFED = [
    (b"forwarded", b"for=198.51.100.1"),
    (b"x-forwarded-for", b"198.51.100.1"),
    (b"x-forwarded-for", b"198.51.100.2"),
    (b"x-forwarded-host", b"evil.test"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-port", b"1"),
]


def test_what_a_stranger_says_is_replaced() -> None:
    assert of(STRANGER, SPOOFED) == {
        b"via": [b"1.1 signalbox"],
        b"forwarded": [b"for=203.0.113.9;host=hub.test;proto=http"],
        b"x-forwarded-for": [b"203.0.113.9"],
        b"x-forwarded-host": [b"hub.test"],
        b"x-forwarded-proto": [b"http"],
    }


def test_what_a_trusted_proxy_says_is_continued() -> None:
    assert of(PROXY, SPOOFED) == {
        b"via": [b"1.1 signalbox"],
        b"forwarded": [b"for=198.51.100.1, for=10.0.0.1;host=hub.test;proto=https"],
        b"x-forwarded-for": [b"198.51.100.1, 198.51.100.2, 10.0.0.1"],
        b"x-forwarded-host": [b"evil.test"],
        b"x-forwarded-proto": [b"https"],
        b"x-forwarded-port": [b"1"],
    }


def test_via_tells_all_hops() -> None:
    assert of(STRANGER, [(b"via", b"1.0 a"), (b"via", b"1.1 b")])[b"via"] == [b"1.0 a, 1.1 b, 1.1 signalbox"]


def test_addresses_and_hosts_are_quoted_where_they_must_be() -> None:
    assert of(("2001:db8::1", "http", b"[::1]:8000"))[b"forwarded"] == [
        b'for="[2001:db8::1]";host="[::1]:8000";proto=http'
    ]
    assert of(("", "http", b"[::1]:8000"))[b"forwarded"][0].startswith(b"for=unknown;")


@given(st.binary(min_size=1, max_size=20).filter(lambda host: not set(host) & set(b'"\\')))
def test_a_host_adds_no_parameter(host: bytes) -> None:
    (forwarded,) = of((STRANGER[0], "http", host))[b"forwarded"]
    value = forwarded.removeprefix(b"for=203.0.113.9;host=").removesuffix(b";proto=http")
    assert value in (host, b'"%b"' % host)
    assert value != host or not set(host) & set(b";,= :[]")


def test_ways_are_remembered_but_not_without_end() -> None:
    ways = WayHeaders()
    for number in range(REMEMBERED_WAYS + 10):
        ways.of({}, (STRANGER[0], "http", b"host-%d" % number), trusted=False)
    assert len(ways._known) <= REMEMBERED_WAYS
    kept = len(ways._known)
    ways.of({}, (STRANGER[0], "http", b"h" * 10_000), trusted=False)
    assert len(ways._known) == kept
    assert ways.of({}, STRANGER, trusted=False) is ways.of({}, STRANGER, trusted=False)


@given(st.lists(st.tuples(st.sampled_from([b"a.test", b"b.test"]), st.booleans(), st.booleans()), max_size=8))
def test_memory_changes_no_answer(asked: list[tuple[bytes, bool, bool]]) -> None:
    ways = WayHeaders()
    for host, trusted, spoofed in asked:
        way = (STRANGER[0], "http", host)
        special = split_request(SPOOFED if spoofed else [])[1]
        assert ways.of(special, way, trusted=trusted) == WayHeaders().of(special, way, trusted=trusted)


# -- identifiers ----------------------------------------------------------------------------------------------------


def test_valid_identifiers_pass() -> None:
    given_ = {b"x-request-id": [b"abc-1"], b"traceparent": [TRACE], b"tracestate": [b"a=1", b"b=2"]}
    assert trace_headers(given_) == [
        (b"x-request-id", b"abc-1"),
        (b"traceparent", TRACE),
        (b"tracestate", b"a=1"),
        (b"tracestate", b"b=2"),
    ]


def test_missing_identifiers_are_made_and_agree() -> None:
    (_, request_id), (_, traceparent) = trace_headers({})
    assert is_request_id(request_id)
    assert is_traceparent(traceparent)
    assert traceparent.split(b"-")[1] == request_id
    assert trace_headers({})[0][1] != request_id


@given(st.binary(max_size=30), st.lists(st.sampled_from([TRACE, b"00-0-0-0", b""]), max_size=3))
def test_what_leaves_is_always_valid(request_id: bytes, parents: list[bytes]) -> None:
    made = trace_headers({b"x-request-id": [request_id], b"traceparent": parents, b"tracestate": [b"a=1"]})
    by_name = dict(made)
    assert is_request_id(by_name[b"x-request-id"])
    assert is_traceparent(by_name[b"traceparent"])
    assert (b"tracestate" in by_name) == (parents == [TRACE])


# -- circles and disguises ------------------------------------------------------------------------------------------


def test_a_request_that_goes_round_in_circles_is_stopped() -> None:
    via = b"1.1 signalbox"
    for _ in range(7):
        via = dict(WayHeaders().of({b"via": [via]}, STRANGER, trusted=False))[b"via"]
    with pytest.raises(GatewayLoopError, match="leads back to this hub"):
        WayHeaders().of({b"via": [via]}, STRANGER, trusted=False)


def test_a_long_way_through_other_proxies_is_no_circle() -> None:
    via = b", ".join(b"1.1 proxy%d" % number for number in range(50))
    assert dict(WayHeaders().of({b"via": [via]}, STRANGER, trusted=False))[b"via"].endswith(b"1.1 signalbox")


@pytest.mark.parametrize("name", [b"x_forwarded_for", b"x-forwarded_for", b"x_request_id", b"content_length"])
def test_names_that_some_servers_take_for_ours_do_not_pass(name: bytes) -> None:
    passed, special = split_request([(name, b"6.6.6.6"), (b"x_own_name", b"kept")])
    assert passed == [(b"x_own_name", b"kept")]
    assert special == {}
