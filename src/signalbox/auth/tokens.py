"""What an app token looks like: ``sbx_`` and 40 random URL-safe characters (240 bits), kept as SHA-256."""

import hashlib
import re
import secrets
from typing import Final

TOKEN_PREFIX: Final = b"sbx_"
VISIBLE: Final = 12
"""Characters of a token that are stored and shown: ``sbx_`` and the first eight random ones."""

_TOKEN: Final = re.compile(rb"sbx_[A-Za-z0-9_-]{40}")


def new_token() -> str:
    """A token nobody has."""
    return TOKEN_PREFIX.decode() + secrets.token_urlsafe(30)


def is_token(text: bytes) -> bool:
    """Whether the text could be an app token."""
    return _TOKEN.fullmatch(text) is not None


def digest_of(token: bytes) -> bytes:
    """SHA-256: enough for a token, which unlike a password cannot be guessed."""
    return hashlib.sha256(token).digest()
