import gc
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.times import MICROSECONDS
from signalbox.gateway.cache_entry import Entry, Record, RecordCodec, StoredAnswer, Varies, answer_from
from signalbox.gateway.cache_rules import Terms

NOW = 1_767_225_600_000_000
SECOND = MICROSECONDS
CODEC = RecordCodec()


def made(
    *headers: tuple[bytes, bytes], status: int = 200, body: bytes = b"hello", age: int = 0, fresh: int = 60
) -> Entry:
    born = NOW - age * SECOND
    end = born + fresh * SECOND
    terms = Terms(born, end, end, end, must_revalidate=False, shared=False, vary=(b"a",), withheld=frozenset({b"x"}))
    return Entry(status, [(b"etag", b'"1"'), *headers], body, terms, b"selector")


def told(entry: Entry, now: int) -> tuple[bytes, bytes]:
    fields = dict(entry.hit(now))
    return fields[b"age"], fields[b"cache-status"]


def test_a_hit_tells_its_age_and_what_is_left() -> None:
    entry = made(age=5)
    assert told(entry, NOW) == (b"5", b"signalbox; hit; ttl=55")
    assert told(entry, NOW + 60 * SECOND) == (b"65", b"signalbox; hit; ttl=-5")
    assert (b"age", b"7") in entry.told(NOW + 2 * SECOND, b"signalbox; fwd=stale")


@given(st.lists(st.integers(-3 * SECOND, 3 * SECOND), max_size=12), st.integers(0, 2 * SECOND))
def test_the_age_is_right_at_whatever_moments_it_is_asked_for(moments: list[int], age: int) -> None:
    entry = made()
    entry.terms = entry.terms._replace(born=NOW - age)
    for moment in moments:
        assert told(entry, NOW + moment)[0] == b"%d" % (max(0, moment + age) // SECOND)


def test_within_a_second_the_headers_are_put_together_once() -> None:
    entry = made()
    first = entry.hit(NOW)
    assert entry.hit(NOW + SECOND - 1) is first
    assert entry.hit(NOW + SECOND) is not first


@pytest.mark.parametrize("record", [made(), made(status=404, body=b""), Varies((b"a", b"b"), b"12345678")])
def test_records_come_back_as_they_were(record: Record) -> None:
    if isinstance(record, Entry):
        record.hit(NOW)
    back = CODEC.decode(CODEC.encode(record))
    assert type(back) is type(record)
    if isinstance(record, Entry) and isinstance(back, Entry):
        assert back.said == []
        assert back.terms == record.terms
        assert [back.status, back.headers, back.body, back.selector] == [
            record.status, record.headers, record.body, record.selector,
        ]  # fmt: skip
    elif isinstance(record, Varies) and isinstance(back, Varies):
        assert (back.names, back.generation) == (record.names, record.generation)


@given(st.binary(max_size=60) | st.integers(0, 80).map(lambda end: CODEC.encode(made())[:end]))
def test_other_bytes_are_no_record(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        CODEC.decode(data)


def test_the_size_is_about_what_it_takes() -> None:
    encoded = CODEC.encode(made(*((b"x-header-%d" % number, b"v" * 30) for number in range(10)), body=bytes(300)))
    kept = []
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1_000):
            entry = CODEC.decode(encoded)
            assert isinstance(entry, Entry)
            entry.hit(NOW)
            kept.append(entry)
        gc.collect()
        taken = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
    finally:
        tracemalloc.stop()
    assert 0.9 < CODEC.size(kept[0]) / taken < 1.4


async def test_a_stored_answer_is_read_once() -> None:
    answer = StoredAnswer(200, [], b"hello")
    assert answer.whole() == b"hello"
    assert [await answer.read(), await answer.read()] == [b"hello", b""]
    answer.close()
    with pytest.raises(RuntimeError):
        answer.detach()


def test_what_is_given_out_of_an_entry() -> None:
    entry, headers = made((b"content-length", b"5")), [(b"content-length", b"5"), (b"etag", b'"1"')]
    whole = answer_from(entry, headers, head=False, asked=[], now=NOW)
    assert (whole.status, whole.headers, whole.whole()) == (200, headers, b"hello")
    head = answer_from(entry, headers, head=True, asked=[], now=NOW)
    assert (head.status, head.headers, head.whole()) == (200, headers, b"")
    held = answer_from(entry, headers, head=False, asked=[(b"if-none-match", b'"1"')], now=NOW)
    assert (held.status, held.headers, held.whole()) == (304, [(b"etag", b'"1"')], b"")
    missing = answer_from(made(status=404), headers, head=False, asked=[(b"if-none-match", b'"1"')], now=NOW)
    assert (missing.status, missing.whole()) == (404, b"hello")
