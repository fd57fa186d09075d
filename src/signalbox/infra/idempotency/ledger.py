"""What was answered to requests with a key, in the main database."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.core.times import MICROSECONDS
from signalbox.infra.idempotency.request import IdempotencyInFlightError, IdempotencyMismatchError, KeyedRequest
from signalbox.infra.idempotency.tables import idempotency_key as ledger

HOLD = 60 * MICROSECONDS
"""How long a request that was begun and never ended keeps its key from others: its process has died."""

FIRST_FAILURE = 400

_KEYS = ("caller", "operation", "key")
_THIS = and_(*(ledger.c[name] == bindparam(f"this_{name}") for name in _KEYS))

_INSERTS = {  # built once: to build a statement costs several times what running it does
    dialect: insert(ledger).on_conflict_do_nothing(index_elements=list(_KEYS)).returning(ledger.c.created_at)
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_FIND = select(ledger.c.digest, ledger.c.status, ledger.c.headers, ledger.c.body, ledger.c.created_at).where(_THIS)
_TAKE_OVER = (
    update(ledger)
    .where(_THIS, ledger.c.status.is_(None), ledger.c.created_at <= bindparam("abandoned"))
    .values(digest=bindparam("new_digest"), created_at=bindparam("now"))
)
_FINISH = (
    update(ledger)
    .where(_THIS)
    .values(status=bindparam("new_status"), headers=bindparam("new_headers"), body=bindparam("new_body"))
)
_FORGET = delete(ledger).where(_THIS, ledger.c.status.is_(None))


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer, as it is given again."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    """Those worth repeating, such as ``location``; names in lower case."""


def answer_once(
    tx: Connection, request: KeyedRequest | None, work: Callable[[Connection], StoredAnswer], *, now: int
) -> tuple[StoredAnswer, bool]:
    """Do ``work`` and keep its answer in the same transaction, or give the answer that is kept.

    Without a key the work is always done. A failure, raised or answered (status 400 and above), is not kept. Of
    requests with one key at the same time, in whatever processes, the others wait for the first to commit.

    Returns:
        The answer, and whether it was given before.

    Raises:
        IdempotencyMismatchError: the key was used for another request.
        IdempotencyInFlightError: the first request is in flight, in transactions of its own.
    """
    if request is None:
        return work(tx), False
    kept = begin(tx, request, now=now)
    if kept is not None:
        return kept, True
    given = work(tx)
    if given.status < FIRST_FAILURE:
        finish(tx, request, given)
    else:
        forget(tx, request)
    return given, False


def begin(tx: Connection, request: KeyedRequest, *, now: int) -> StoredAnswer | None:
    """Take the key: None where the work is to be done, then ``finish`` or ``forget``; else the answer that is kept.

    All may be one transaction, see ``answer_once``. Work that needs several commits this one first; if its process dies
    the key is free again after ``HOLD``.

    Raises:
        IdempotencyMismatchError: the key was used for another request.
        IdempotencyInFlightError: the first request has not ended.
    """
    row = {**_names(request), "digest": request.digest, "created_at": now}
    if tx.execute(_INSERTS[tx.dialect.name], row).first() is not None:
        return None
    kept = tx.execute(_FIND, _this(request)).one_or_none()
    if kept is None:  # forgotten between the two statements
        raise IdempotencyInFlightError
    if kept.status is None and kept.created_at + HOLD <= now:
        _take_over(tx, request, now)
        return None
    if bytes(kept.digest) != request.digest:
        raise IdempotencyMismatchError
    if kept.status is None:
        raise IdempotencyInFlightError
    headers = tuple((name, value) for name, value in json.loads(kept.headers))
    return StoredAnswer(kept.status, bytes(kept.body), headers)


def finish(tx: Connection, request: KeyedRequest, answer: StoredAnswer) -> None:
    """Keep the answer of a request that was begun."""
    values = {"new_status": answer.status, "new_headers": json.dumps(answer.headers), "new_body": answer.body}
    tx.execute(_FINISH, {**_this(request), **values})


def forget(tx: Connection, request: KeyedRequest) -> None:
    """Give the key of a request that failed back."""
    tx.execute(_FORGET, _this(request))


def delete_answers(tx: Connection, *, older_than: int, limit: int) -> int:
    """Delete at most ``limit`` of the oldest keys from before ``older_than``; how many it were."""
    names = [ledger.c[name] for name in _KEYS]
    aged = select(*names).where(ledger.c.created_at < older_than).order_by(ledger.c.created_at).limit(limit)
    return tx.execute(delete(ledger).where(tuple_(*names).in_(aged))).rowcount


def _take_over(tx: Connection, request: KeyedRequest, now: int) -> None:
    values = {"abandoned": now - HOLD, "new_digest": request.digest, "now": now}
    if tx.execute(_TAKE_OVER, {**_this(request), **values}).rowcount == 0:
        raise IdempotencyInFlightError


def _names(request: KeyedRequest) -> dict[str, Any]:
    return {"caller": request.caller, "operation": request.operation, "key": request.key}


def _this(request: KeyedRequest) -> dict[str, Any]:
    return {f"this_{name}": value for name, value in _names(request).items()}
