import hashlib
import re

import pytest

from signalbox.auth.tokens import VISIBLE, digest_of, is_token, new_token


def test_a_token_is_a_prefix_and_forty_random_characters() -> None:
    made = {new_token() for _ in range(1000)}
    assert len({token[:VISIBLE] for token in made}) == 1000
    assert all(re.fullmatch(r"sbx_[A-Za-z0-9_-]{40}", token) for token in made)
    assert all(is_token(token.encode()) for token in made)


@pytest.mark.parametrize("text", [b"", b"sbx_", b"sbx_" + b"a" * 39, b"sbx_" + b"a" * 41, b"sby_" + b"a" * 40])
def test_other_text_is_none(text: bytes) -> None:
    assert not is_token(text)
    assert not is_token(b"sbx_" + b"a" * 39 + b"\n")


def test_the_digest_is_sha_256() -> None:
    assert digest_of(b"sbx_x") == hashlib.sha256(b"sbx_x").digest()
