import pytest

from signalbox.infra.idempotency import InvalidIdempotencyKeyError, KeyedRequest, find_key, keyed

KEY = (b"idempotency-key", b"abc")


def ask(
    *, key: bytes | None = b"abc", method: str = "POST", target: bytes = b"/api/tasks?", body: bytes = b"{}"
) -> KeyedRequest | None:
    headers = [] if key is None else [(b"idempotency-key", key)]
    return keyed(headers, caller="app:shop", method=method, template="/api/tasks", target=target, body=body)


def test_a_request_without_the_header_has_no_key() -> None:
    assert find_key([(b"host", b"a")]) is None
    assert ask(key=None) is None


@pytest.mark.parametrize("key", [b"a", b'"8e03978e-40d5-43dd-bc93-6894a57f9324"', b"x" * 255, b"a b~!"])
def test_keys_are_1_to_255_printable_characters(key: bytes) -> None:
    assert find_key([(b"host", b"a"), (b"idempotency-key", key)]) == key.decode()


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"a\tb", b"\xe9", b"\x7f"])
def test_other_keys_are_refused(key: bytes) -> None:
    with pytest.raises(InvalidIdempotencyKeyError, match="1 to 255 printable"):
        ask(key=key)


def test_two_keys_are_none() -> None:
    with pytest.raises(InvalidIdempotencyKeyError):
        find_key([KEY, KEY])


def test_a_request_is_known_by_all_that_it_asks() -> None:
    first = ask()
    assert first is not None
    assert (first.caller, first.operation, first.key) == ("app:shop", "POST /api/tasks", "abc")
    assert ask() == first
    others = [ask(method="PUT"), ask(target=b"/api/tasks/?"), ask(target=b"/api/tasks?a=1"), ask(body=b"{ }")]
    assert first.digest not in {each.digest for each in others if each}
    assert len({each.digest for each in others if each}) == len(others)
