"""Locks on names, held until the transaction ends.

On SQLite a transaction that writes is alone anyway. On PostgreSQL they are advisory locks: they need no row to stand
there, and what is read in the next statement was committed before the lock was had.
"""

from collections.abc import Iterable
from hashlib import blake2b

from sqlalchemy import ARRAY, BigInteger, Connection, bindparam, func, select

from signalbox.core.errors import UnavailableError

_HELD = "signalbox.limits.held"
_keys = func.unnest(bindparam("keys", type_=ARRAY(BigInteger))).column_valued("key")
_WAIT = select(func.pg_advisory_xact_lock(_keys))
_TRY = select(func.bool_and(func.pg_try_advisory_xact_lock(_keys)))


class LimitsBusyError(UnavailableError):
    """Another transaction holds a limit, and this one, which holds others, must not wait for it."""

    code = "limits_busy"


def lock(tx: Connection, names: Iterable[bytes]) -> None:
    """Lock names against all other transactions.

    The first call of a transaction waits. Later ones do not: of two transactions that wait for each other, as batches of
    group commit could, PostgreSQL ends one after a second. One that need not wait is run again by itself at once.

    Raises:
        LimitsBusyError: it is not the first call, and another transaction holds one of the names.
    """
    if tx.dialect.name != "postgresql":
        return
    transaction = tx.get_transaction()
    of, held = tx.info.get(_HELD, (None, frozenset()))
    if of is not transaction:
        held = frozenset()
    keys = {_key(name) for name in names} - held
    if not keys:
        return
    if not held:
        tx.execute(_WAIT, {"keys": sorted(keys)})  # in one order for all
    elif not tx.execute(_TRY, {"keys": sorted(keys)}).scalar_one():
        msg = "the limits of another host are being changed; try again"
        raise LimitsBusyError(msg)
    tx.info[_HELD] = (transaction, held | keys)


def _key(name: bytes) -> int:
    return int.from_bytes(blake2b(name, digest_size=8, person=b"limits").digest(), signed=True)
