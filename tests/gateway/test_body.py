from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.asgi import Receive
from signalbox.gateway.body import ClientGoneError, RequestBody, too_large
from signalbox.gateway.errors import BodyTooLargeError

pieces = st.lists(st.binary(max_size=8), min_size=1, max_size=8)


def receiving(parts: Iterable[bytes], *, gone: bool = False) -> Receive:
    """What a server says while a client sends these parts, and then leaves if ``gone``."""
    listed = list(parts)
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": gone or number < len(listed)}
        for number, part in enumerate(listed, 1)
    ]
    coming = iter([*messages, {"type": "http.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(coming)

    return receive


@given(pieces)
async def test_a_body_is_the_sum_of_its_pieces(parts: list[bytes]) -> None:
    streamed = RequestBody(receiving(parts), limit=100)
    assert [piece async for piece in streamed.stream()] == [part for part in parts if part]
    assert (streamed.size, streamed.complete) == (sum(map(len, parts)), True)
    assert await RequestBody(receiving(parts), limit=100).whole() == b"".join(parts)


@given(pieces, st.integers(0, 40))
async def test_the_limit_is_exact(parts: list[bytes], limit: int) -> None:
    body = RequestBody(receiving(parts), limit=limit)
    if sum(map(len, parts)) <= limit:
        assert len(await body.whole()) <= limit
        return
    taken = []
    with pytest.raises(BodyTooLargeError, match=str(limit)):
        taken.extend([piece async for piece in body.stream()])
    assert sum(map(len, taken)) <= limit


@given(pieces)
async def test_a_client_that_leaves_is_told_from_the_end(parts: list[bytes]) -> None:
    body = RequestBody(receiving(parts, gone=True), limit=100)
    with pytest.raises(ClientGoneError):
        await body.whole()
    assert not body.complete


def test_the_refusal_names_the_limit() -> None:
    assert "1000 bytes" in str(too_large(1000))
