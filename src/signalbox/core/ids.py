"""Identifiers of requests and traces.

They tell calls apart and are no secrets, so a fast generator seeded by the system's entropy makes them;
secrets come from the ``secrets`` module where they are issued.
"""

import random
import re

_random = random.Random(random.SystemRandom().getrandbits(256))
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_VERSION_00_LENGTH = 55
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def new_request_id() -> bytes:
    """32 hexadecimal digits."""
    return _random.getrandbits(128).to_bytes(16, "big").hex().encode()


def new_sortable_id(now: int) -> str:
    """32 hexadecimal digits that sort by the moment ``now`` (microseconds UTC): 12 of milliseconds, 20 random ones."""
    return f"{now // 1000:012x}{_random.getrandbits(80):020x}"


def is_request_id(value: bytes) -> bool:
    """Whether a caller's request id may be kept: 1 to 128 characters that are safe in headers and logs."""
    return _REQUEST_ID.fullmatch(value) is not None


def new_traceparent() -> bytes:
    """A sampled ``traceparent`` with new trace and span ids (W3C Trace Context, version 00).

    An id of zeros only would be invalid; it comes about as often as a collision, that is never.
    """
    digits = _random.getrandbits(192).to_bytes(24, "big").hex()
    return f"00-{digits[:32]}-{digits[32:]}-01".encode()


def is_traceparent(value: bytes) -> bool:
    """Whether a ``traceparent`` header is valid (W3C Trace Context); an invalid one must be replaced."""
    if value.startswith(b"00-") and len(value) != _VERSION_00_LENGTH:
        return False
    return _TRACEPARENT.fullmatch(value) is not None
