import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.ids import is_request_id, is_traceparent, new_request_id, new_sortable_id, new_traceparent

TRACEPARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/+=@-"


def test_new_request_ids_are_32_digits_and_all_different() -> None:
    made = {new_request_id() for _ in range(10_000)}
    assert len(made) == 10_000
    assert all(re.fullmatch(rb"[0-9a-f]{32}", each) and is_request_id(each) for each in made)


def test_sortable_ids_sort_by_their_millisecond_and_are_all_different() -> None:
    start = 1_767_225_600_000_000
    made = [new_sortable_id(start + number * 1_000) for number in range(1_000)]
    assert made == sorted(made)
    assert len({new_sortable_id(start) for _ in range(10_000)}) == 10_000
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in made)


def test_new_traceparents_are_valid_sampled_and_all_different() -> None:
    made = {new_traceparent() for _ in range(10_000)}
    assert len({each[3:35] for each in made}) == len({each[36:52] for each in made}) == 10_000
    assert all(is_traceparent(each) and each.endswith(b"-01") for each in made)


@given(st.text(SAFE, min_size=1, max_size=128))
def test_safe_request_ids_are_kept(text: str) -> None:
    assert is_request_id(text.encode())


@given(st.binary(max_size=200))
def test_a_kept_request_id_is_short_and_safe(value: bytes) -> None:
    assert is_request_id(value) == (0 < len(value) <= 128 and all(chr(byte) in SAFE for byte in value))


@pytest.mark.parametrize("value", [b"", b"a" * 129, b"a b", b"a\r\nX: y", b"a\n", b"\xff", b"a;b", b'"', b"<b>"])
def test_other_request_ids_are_replaced(value: bytes) -> None:
    assert not is_request_id(value)


@pytest.mark.parametrize(
    "value",
    [TRACEPARENT, TRACEPARENT[:-2] + b"00", b"01" + TRACEPARENT[2:], b"cc" + TRACEPARENT[2:] + b"-what-comes-later"],
)
def test_valid_traceparents(value: bytes) -> None:
    assert is_traceparent(value)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        TRACEPARENT[:-1],
        TRACEPARENT + b"0",
        TRACEPARENT + b"-later",
        TRACEPARENT.upper(),
        b"ff" + TRACEPARENT[2:],
        b"01" + TRACEPARENT[2:] + b"later",
        b"00-" + b"0" * 32 + TRACEPARENT[35:],
        TRACEPARENT[:36] + b"0" * 16 + b"-01",
        TRACEPARENT.replace(b"-", b"_"),
        b" " + TRACEPARENT,
        TRACEPARENT + b"\n",
    ],
)
def test_invalid_traceparents(value: bytes) -> None:
    assert not is_traceparent(value)
