"""Limits that are counted in the database: exact across workers, processes and restarts.

There is one clock. On PostgreSQL it is the server's, read once the counters are locked; on SQLite, where one process
serves, it is that process's, which goes on evenly however the machine's is set. A counter's time never runs back: one
that is set back frees nothing. The row of a counter holds the moments of its permits (``log.py``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from heapq import nlargest
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, cast, delete, extract, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.core.rates import Rate
from signalbox.core.times import HOUR, MICROSECONDS
from signalbox.infra.clock import Clock
from signalbox.infra.db import Database
from signalbox.infra.limits import Demands, KeyUsage, Quota, Usage, Verdict
from signalbox.infra.limits.locks import lock
from signalbox.infra.limits.log import PermitLog
from signalbox.infra.limits.tables import permit_log as table

_NONE: Mapping[str, int] = MappingProxyType({})

_SERVER_TIME = cast(extract("epoch", func.clock_timestamp()) * MICROSECONDS, BigInteger)
_ONCE = select(literal(1).label("one")).subquery()
_WANTED = table.c.id.in_(bindparam("ids", expanding=True))


def _loads(time: Any) -> Any:
    """Some rows with the time; one row of nulls and the time where there is none of them."""
    columns = (table.c.id, table.c.permits, table.c.latest)
    return select(time.label("time"), *columns).select_from(_ONCE.outerjoin(table, _WANTED))


def _stores(insert: Any) -> Any:
    statement = insert(table)
    changed = {name: statement.excluded[name] for name in ("permits", "latest", "ends_at")}
    return statement.on_conflict_do_update(index_elements=["id"], set_=changed)


_LOAD = {"sqlite": _loads(literal(0)), "postgresql": _loads(_SERVER_TIME)}
_STORE = {"sqlite": _stores(sqlite.insert), "postgresql": _stores(postgresql.insert)}
_TIME = select(_SERVER_TIME)
_OF_SPAN = select(table.c.name, table.c.permits, table.c.latest).where(table.c.span == bindparam("wanted"))
_OVER = select(table.c.id).where(table.c.ends_at < bindparam("before")).limit(bindparam("most"))
_SWEEP = delete(table).where(table.c.id.in_(_OVER), table.c.ends_at < bindparam("before"))

SWEEP_AFTER = HOUR
"""How long counters that are over are kept: more than clocks of machines differ."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of asking for permits of some counters."""

    count: int
    """How many were granted of each."""
    retry_after: int
    """Microseconds until there is one more, if nobody else asks in between; 0 if as many were granted as asked for."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Some counters as they stand in a transaction, at the moment ``now`` of the one clock."""

    now: int
    demands: Demands
    logs: Mapping[str, PermitLog]

    def take(
        self,
        tx: Connection,
        keys: Iterable[str],
        *,
        count: int = 1,
        margin: int = 0,
        keep: Mapping[str, int] = _NONE,
    ) -> Taken:
        """Take up to ``count`` permits, each of them of every key; the counters must have been locked.

        Args:
            tx: The transaction in which they were locked.
            keys: Which of the counters.
            count: How many permits are wanted.
            margin: Microseconds for which a permit may lie before it is used: so much longer it counts.
            keep: How many permits of a key must remain for others, less than its limit.
        """
        logs = {key: self.logs[key] for key in keys}
        room = min((self.demands[key].limit - log.used - keep.get(key, 0) for key, log in logs.items()), default=count)
        granted = max(0, min(room, count))
        if granted and logs:
            for log in logs.values():
                log.add(granted, self.now + margin)
            self._store(tx, logs)
        if granted == count:
            return Taken(granted, 0)
        return Taken(granted, max(log.room_at(1 + keep.get(key, 0)) for key, log in logs.items()) - self.now)

    def quota(self, key: str) -> Quota:
        """How a counter stands."""
        log, rate = self.logs[key], self.demands[key]
        remaining = max(0, rate.limit - log.used)
        return remaining, log.room_at(remaining + 1) - self.now if log.used else 0

    def _store(self, tx: Connection, logs: Mapping[str, PermitLog]) -> None:
        rows = [
            {
                "id": _id(key, self.demands[key].window),
                "name": _to_bytes(key),
                "span": self.demands[key].window,
                "permits": log.dump(),
                "latest": self.now,
                "ends_at": log.ends_at,
            }
            for key, log in logs.items()
        ]
        tx.execute(_STORE[tx.dialect.name], rows)


class Windows:
    """Finds counters. A counter belongs to a key and the length of a window, so its limit may change."""

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._start = clock.now() - round(clock.monotonic() * MICROSECONDS)

    def lock(self, tx: Connection, demands: Demands, *, also: Iterable[str] = ()) -> Counters:
        """Counters that nobody else can change until the transaction ends; ``also`` are further names to lock.

        Raises:
            LimitsBusyError: the transaction holds others already, and one of these is held elsewhere.
        """
        names = [*map(_to_bytes, also), *(_id(key, rate.window) for key, rate in demands.items())]
        lock(tx, names)
        return self.read(tx, demands)

    def read(self, tx: Connection, demands: Demands) -> Counters:
        """Counters to look at."""
        keys = {_id(key, rate.window): key for key, rate in demands.items()}
        rows = tx.execute(_LOAD[tx.dialect.name], {"ids": list(keys)}).all()
        now = max([self._own_time(tx) or rows[0].time, *(row.latest for row in rows if row.id is not None)])
        logs = {key: PermitLog.empty(rate) for key, rate in demands.items()}
        for row in rows:
            if row.id is not None:
                key = keys[row.id]
                logs[key] = PermitLog.load(demands[key], row.permits)
                logs[key].expire(now)
        return Counters(now, demands, logs)

    def usage(self, tx: Connection, prefix: str, rate: Rate, *, top: int) -> Usage:
        """How the keys that begin with ``prefix`` stand; see ``Limiter.usage``."""
        now = self._own_time(tx) or tx.execute(_TIME).scalar_one()
        wanted = _to_bytes(prefix)
        usages = (
            _to_usage(row.name, PermitLog.load(rate, row.permits), max(now, row.latest))
            for row in tx.execute(_OF_SPAN, {"wanted": rate.window})
            if row.name.startswith(wanted)
        )
        used = [each for each in usages if each.used]
        return Usage(len(used), nlargest(top, used, key=lambda each: each.used))

    def _own_time(self, tx: Connection) -> int | None:
        """The time of this process; None where the database has its own."""
        if tx.dialect.name == "postgresql":
            return None
        return self._start + round(self._monotonic() * MICROSECONDS)


class DatabaseLimiter:
    """The database version of the seam. A key has a counter for each rate."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self._windows = db, Windows(clock)

    async def take(self, demands: Demands) -> Verdict:
        """See ``Limiter``."""
        return await self._db.write(self._take, {_name(key, rate): rate for key, rate in demands.items()}, [*demands])

    async def usage(self, prefix: str, rate: Rate, *, top: int = 10) -> Usage:
        """See ``Limiter``."""
        usage = await self._db.read(self._windows.usage, _name(prefix, rate), rate, top=top)
        own = len(_name("", rate))
        return Usage(usage.keys, [KeyUsage(each.key[own:], each.used) for each in usage.fullest])

    def _take(self, tx: Connection, demands: Demands, keys: list[str]) -> Verdict:
        counters = self._windows.lock(tx, demands)
        taken = counters.take(tx, demands)
        quotas = [counters.quota(key) for key in demands]
        if taken.count:
            return Verdict(allowed=True, refused_by=None, retry_after=0, quotas=quotas)
        waits = {key: reset for key, (remaining, reset) in zip(keys, quotas, strict=True) if not remaining}
        refused_by = max(waits, key=lambda key: waits[key])
        return Verdict(allowed=False, refused_by=refused_by, retry_after=waits[refused_by], quotas=quotas)


def delete_ended_permits(tx: Connection, now: int, limit: int) -> int:
    """Delete at most ``limit`` counters that have been over for an hour; returns how many."""
    return tx.execute(_SWEEP, {"before": now - SWEEP_AFTER, "most": limit}).rowcount


def _name(key: str, rate: Rate) -> str:
    return f"{rate.limit} {key}"


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _id(key: str, span: int) -> bytes:
    return blake2b(b"%d %b" % (span, _to_bytes(key)), digest_size=16).digest()


def _to_usage(name: bytes, log: PermitLog, now: int) -> KeyUsage:
    log.expire(now)
    return KeyUsage(name.decode("utf-8", "surrogatepass"), log.used)
