"""The seam to repeated requests: a request that carries an ``Idempotency-Key`` is done once, however often it is sent.

Doors do it all (``Door.idempotent``). A FastAPI route makes a ``KeyedRequest`` with ``keyed`` and calls ``answer_once``
in its ``db.write``.
"""

from signalbox.infra.idempotency.ledger import StoredAnswer, answer_once, begin, delete_answers, finish, forget
from signalbox.infra.idempotency.request import (
    HEADER,
    REPLAYED,
    IdempotencyInFlightError,
    IdempotencyMismatchError,
    InvalidIdempotencyKeyError,
    KeyedRequest,
    find_key,
    keyed,
)

__all__ = [
    "HEADER",
    "REPLAYED",
    "IdempotencyInFlightError",
    "IdempotencyMismatchError",
    "InvalidIdempotencyKeyError",
    "KeyedRequest",
    "StoredAnswer",
    "answer_once",
    "begin",
    "delete_answers",
    "find_key",
    "finish",
    "forget",
    "keyed",
]
