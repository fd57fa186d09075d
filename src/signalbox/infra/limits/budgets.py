"""Budgets: how often a third-party host may be called by everything together, exact and in the database.

**Never more than the limit.** A permit counts from when it is granted until its window and the margin have passed. So
calls that are sent within the margin of the beginning of the transaction that took their permits are never more than
the limit in any window, wherever it begins. A permit that is not used, because its process died or took longer, is
lost for that window.

**Polls and submissions.** Of a limit of N, polls take at most the share S: N times ``poll_share``, at least one. What
they are likely to ask for within one window, up to S, is kept for them: the window's length over the gap between polls
of late; less the longer one is overdue, nothing if the next is due later. All else is for submissions. So polls get
their share whatever backlog there is, and what they do not use of it goes to submissions at once. Of windows over a
minute the second half of S is spread evenly, that there are polls all day long; and before the first poll, of which
little is known then, a hundredth of the limit is kept, that it need not wait for hours.

**A pause** of a host holds for everybody, whether it has a budget or not.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from sqlalchemy import Connection

from signalbox.core.rates import Rate
from signalbox.core.times import MICROSECONDS, MINUTE
from signalbox.infra.clock import Clock
from signalbox.infra.db import Database
from signalbox.infra.limits import hosts
from signalbox.infra.limits.database import Counters, Windows
from signalbox.infra.limits.hosts import HostState
from signalbox.infra.limits.locks import lock
from signalbox.infra.limits.settings import POLL_SHARE, BudgetSettings, host_name, normalize_host

Purpose = Literal["submit", "poll"]

NO_EXTRA: Mapping[str, Rate] = MappingProxyType({})

_LONG = MINUTE
"""Windows longer than this keep something for the first poll."""
_FIRST = 100
"""And that is the limit divided by this."""
_WAIT_FOR_POLLS = 30 * MICROSECONDS
"""What is kept for polls may be free so soon, however long the window."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What came of asking for permits."""

    count: int
    """How many calls may be made: none to as many as were asked for."""
    retry_at: int | None = None
    """Microseconds UTC when it makes sense to ask for the others; None if there are none."""
    paused: bool = False
    """Whether nothing was granted because the host is paused."""


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """How a limit of a budget stands."""

    rate: Rate
    used: int
    """Calls that count at present, polls included."""
    polls: int
    """Polls among them."""
    poll_limit: int | None
    """How many of the calls may be polls; None where they are calls like others."""


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """How a host stands."""

    host: str
    """As in the settings; as asked for where it has no budget."""
    limits: list[LimitStatus]
    """In the order of the settings, then the extra ones; none where the host has no budget and there are no others."""
    paused_until: int | None
    """Microseconds UTC; None where it is not paused."""


class _Budget:
    """The limits of one host by the names of their counters, and how much of them polls may take."""

    def __init__(self, name: str, limits: Sequence[Rate], share: float) -> None:
        self.name, self.share = name, share
        self.demands = {_counter(name, rate): rate for rate in limits}

    def with_extra(self, extra: Mapping[str, Rate]) -> dict[str, Rate]:
        """All that must have room for a call."""
        return {**self.demands, **{f"extra {name}": rate for name, rate in extra.items()}}

    def polls_of(self, demands: Mapping[str, Rate], extra_share: float | None) -> dict[str, Rate]:
        """How many of the calls of each demand may be polls; those for which polls are calls like others are left out."""
        other = self.share if extra_share is None else extra_share
        shares = {key: self.share if key in self.demands else other for key in demands}
        return {
            f"{key} polls": Rate(max(1, int(rate.limit * shares[key])), rate.window)
            for key, rate in demands.items()
            if shares[key]
        }


class Budgets:
    """The budgets of all hosts, and the pauses of those without. ``margin`` is seconds.

    A host is given as ``name`` or ``name:port``. For one that has no budget nothing is counted but ``extra``.
    """

    def __init__(self, settings: Sequence[BudgetSettings], db: Database, clock: Clock, *, margin: float = 0.1) -> None:
        self._budgets = {each.host: _Budget(each.host, each.limits, each.poll_share) for each in settings}
        self._db, self._windows = db, Windows(clock)
        self._margin = round(margin * MICROSECONDS)

    @property
    def hosts(self) -> list[str]:
        """The hosts that have a budget, as the settings name them and in their order."""
        return list(self._budgets)

    def limits_of(self, host: str) -> list[Rate]:
        """The limits of a host; none where it has no budget."""
        return list(self._find(host).demands.values())

    def name_of(self, host: str) -> str | None:
        """The host whose budget counts for this one; None where it has none."""
        found = self._find(host)
        return found.name if found.demands else None

    def take(
        self,
        tx: Connection,
        host: str,
        *,
        purpose: Purpose = "submit",
        count: int = 1,
        extra: Mapping[str, Rate] = NO_EXTRA,
        extra_share: float | None = None,
        hold: int = 0,
        now: int,
    ) -> Grant:
        """Take up to ``count`` permits, each for one call, that are recorded when the transaction is.

        Call within the margin (0.1 s by default) from when the transaction was asked for, and not before it is
        committed. A permit that is not used is lost. Take permits of one host only in a transaction.

        Args:
            tx: The transaction.
            host: Whom to call.
            purpose: What for; see the module about how the two share a budget.
            count: How many calls are wanted, at least 1.
            extra: Further limits by names, which are the same for all who share them: ``provider:NAME:50/30s``.
            extra_share: The share of polls in these; None: that of the host's budget.
            hold: Microseconds for which permits may be kept before they are used, besides the margin: they count for
                so much longer.
            now: Microseconds UTC.

        Raises:
            LimitsBusyError: the transaction holds permits of another host, and somebody else those of this one.
        """
        budget = self._find(host)
        state = hosts.find_host(tx, budget.name)
        if state.paused_until is not None and now < state.paused_until:
            return Grant(0, state.paused_until, paused=True)
        demands = budget.with_extra(extra)
        if not demands:
            return Grant(count)
        polls = budget.polls_of(demands, extra_share)
        counters = self._windows.lock(tx, {**demands, **polls}, also=[budget.name])
        state = hosts.find_host(tx, budget.name)  # again: who held the lock may have paused the host
        if state.paused_until is not None and now < state.paused_until:
            return Grant(0, state.paused_until, paused=True)
        margin = self._margin + hold
        if purpose == "poll" and polls:
            hosts.note_polls(tx, budget.name, hosts.find_host(tx, budget.name), count=count, now=now)
            at_once, pause = _spread(counters, polls)
            taken = counters.take(tx, [*demands, *polls], count=min(count, at_once), margin=margin)
            wait = taken.retry_after or pause  # the former if it was not the share that had too little
        else:
            keep = {key: _kept(counters, key, state, now=now) for key in demands if f"{key} polls" in polls}
            taken = counters.take(tx, demands, count=count, margin=margin, keep=keep)
            wait = min(taken.retry_after, _WAIT_FOR_POLLS) if any(keep.values()) else taken.retry_after
        return Grant(taken.count, None if taken.count == count else now + wait)

    async def acquire(
        self,
        host: str,
        *,
        purpose: Purpose = "submit",
        count: int = 1,
        extra: Mapping[str, Rate] = NO_EXTRA,
        hold: int = 0,
        now: int,
    ) -> Grant:
        """As ``take``, in a transaction of its own.

        Raises:
            DatabaseUnavailableError: the database is away or overloaded.
        """
        return await self._db.write(self.take, host, purpose=purpose, count=count, extra=extra, hold=hold, now=now)

    def pause(self, tx: Connection, host: str, *, until: int) -> None:
        """Let nobody call the host before ``until``, microseconds UTC; of several ends the latest counts."""
        name = self._find(host).name
        lock(tx, [name.encode()])
        hosts.pause_host(tx, name, until=until)

    def paused_until(self, tx: Connection, host: str) -> int | None:
        """When the pause of the host ends, microseconds UTC; in the past where it has ended, None if there was none."""
        return hosts.find_host(tx, self._find(host).name).paused_until

    def status(
        self,
        tx: Connection,
        host: str,
        *,
        extra: Mapping[str, Rate] = NO_EXTRA,
        extra_share: float | None = None,
        now: int,
    ) -> BudgetStatus:
        """How the host stands, and ``extra`` limits of who calls it, which ``take`` explains."""
        budget = self._find(host)
        paused_until = hosts.find_host(tx, budget.name).paused_until
        demands = budget.with_extra(extra)
        polls = budget.polls_of(demands, extra_share)
        counters = self._windows.read(tx, {**demands, **polls})
        limits = [
            LimitStatus(
                rate,
                counters.logs[key].used,
                counters.logs[f"{key} polls"].used if f"{key} polls" in polls else 0,
                polls[f"{key} polls"].limit if f"{key} polls" in polls else None,
            )
            for key, rate in demands.items()
        ]
        is_paused = paused_until is not None and now < paused_until
        return BudgetStatus(budget.name, limits, paused_until if is_paused else None)

    def _find(self, host: str) -> _Budget:
        name = normalize_host(host)
        return self._budgets.get(name) or self._budgets.get(host_name(name)) or _Budget(name, (), POLL_SHARE)


def _counter(host: str, rate: Rate) -> str:
    return f"host {host} {rate.window // MICROSECONDS}"


def _kept(counters: Counters, key: str, state: HostState, *, now: int) -> int:
    """How much of a limit submissions leave to polls: what these are likely to ask for and have not taken yet."""
    rate, polls = counters.demands[key], f"{key} polls"
    expected = state.polls_within(rate.window, now)
    if rate.window > _LONG:
        expected = max(expected, rate.limit // _FIRST)
    share = min(counters.demands[polls].limit, rate.limit - 1)
    return max(0, min(expected, share) - counters.logs[polls].used)


def _spread(counters: Counters, polls: Mapping[str, Rate]) -> tuple[int, int]:
    """How many polls may come at once, and the microseconds until there may be one more.

    The second half of the share of a long window is spread over it, one by one.
    """
    most, wait = sys.maxsize, 0
    for key, rate in polls.items():
        if rate.window <= _LONG:
            continue
        log, gap = counters.logs[key], 2 * rate.window // max(2, rate.limit)
        free = -(-rate.limit // 2) - log.used
        if free <= 0:
            gap = max(0, log.newest + gap - counters.now)
            free = 0 if gap else 1
        if free < most:
            most, wait = free, gap
        elif free == most:
            wait = max(wait, gap)
    return most, wait
