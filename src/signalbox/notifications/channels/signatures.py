"""Signatures of webhooks as Standard Webhooks has them: HMAC-SHA256 over id, time and body.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from signalbox.core.errors import InvalidError
from signalbox.infra.http import Headers

_PREFIX = "whsec_"


def signing_key(secret: str) -> bytes:
    """The key that a secret stands for: base64 behind ``whsec_``, any other text as it is.

    Raises:
        InvalidError: what follows ``whsec_`` is not base64.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        msg = f"what follows {_PREFIX} in a signing secret is base64"
        raise InvalidError(msg) from error


def signature(key: bytes, *, webhook_id: str, timestamp: int, body: bytes) -> str:
    """One signature, ``v1,`` and base64; ``timestamp`` in seconds since 1970."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def signature_headers(keys: Sequence[bytes], *, webhook_id: str, timestamp: int, body: bytes) -> Headers:
    """The three headers; with several keys there are several signatures, so that a key can be changed unnoticed."""
    signatures = [signature(key, webhook_id=webhook_id, timestamp=timestamp, body=body) for key in keys]
    headers = [(b"webhook-id", webhook_id.encode()), (b"webhook-timestamp", b"%d" % timestamp)]
    return [*headers, (b"webhook-signature", " ".join(signatures).encode())] if signatures else headers
