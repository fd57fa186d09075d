from hypothesis import given
from hypothesis import strategies as st

from signalbox.gateway.sums import CREATED_AT, MICROS, REQUEST_BYTES, RESPONSE_BYTES, Sums, key_of
from tests.gateway.conftest import made_call

NUMBERS = st.integers(0, 2**60)


@st.composite
def some_sums(draw: st.DrawFn) -> Sums:
    made = Sums()
    for micros in draw(st.lists(st.integers(0, 10**8), max_size=20)):
        made.count += 1
        made.micros += micros
        made.latency.add(micros)
    made.request_bytes, made.response_bytes = draw(NUMBERS), draw(NUMBERS)
    return made


def told(sums: Sums) -> tuple[object, ...]:
    return sums.count, sums.micros, sums.request_bytes, sums.response_bytes, sums.latency.buckets


@given(some_sums())
def test_what_was_put_into_a_row_comes_back(sums: Sums) -> None:
    row = sums.to_row(("shop", "/r", "GET", 404))
    assert [row.pop(name) for name in ("upstream", "route", "method", "status")] == ["shop", "/r", "GET", 404]
    assert told(Sums.from_columns(**row)) == told(sums)


@given(some_sums(), some_sums())
def test_merged_sums_are_those_of_all_calls(first: Sums, second: Sums) -> None:
    added = Sums()
    added.merge(first)
    added.merge(second)
    assert told(added)[:4] == tuple(a + b for a, b in zip(told(first)[:4], told(second)[:4], strict=True))  # type: ignore[operator]
    assert added.latency.count == first.latency.count + second.latency.count == added.count
    assert added.latency.quantiles(0.5) == _both(first, second).latency.quantiles(0.5)


def _both(first: Sums, second: Sums) -> Sums:
    swapped = Sums()
    swapped.merge(second)
    swapped.merge(first)
    return swapped


def test_places_are_those_of_a_call() -> None:
    call = made_call()
    assert key_of(call) == (call.upstream, call.route, call.method, call.status)
    places = [CREATED_AT, MICROS, REQUEST_BYTES, RESPONSE_BYTES]
    assert [call[place] for place in places] == [call.created_at, call.micros, call.request_bytes, call.response_bytes]
