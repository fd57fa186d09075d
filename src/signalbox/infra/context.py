"""What a process is made of: built once by ``app``, handed down, never looked up."""

from dataclasses import dataclass, field
from typing import Any

from signalbox.core.drain import Drain
from signalbox.infra.broadcast import Broadcast
from signalbox.infra.cache import Cache
from signalbox.infra.clock import Clock
from signalbox.infra.db import Database
from signalbox.infra.http import HttpClient
from signalbox.infra.http.recorded import RecordedClient
from signalbox.infra.limits import LocalLimiter
from signalbox.infra.limits.budgets import Budgets
from signalbox.infra.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Context:
    """The seams, each with its implementation chosen."""

    clock: Clock
    db: Database
    """What must never be lost."""
    calls_db: Database
    """Statistics: on SQLite a second file, on PostgreSQL the same database as ``db``."""
    http: HttpClient
    """To other people's servers, for the gateway, which counts its calls itself."""
    outbound: RecordedClient
    """To other people's servers, for the hub's own calls, which are counted like those of the gateway."""
    answers: Cache[Any]
    """Answers of upstreams that may be given again."""
    limiter: LocalLimiter
    """Counts what callers may do so and so often."""
    budgets: Budgets
    """How often each third-party host may be called, by all processes together."""
    metrics: Metrics
    """What ``/metrics`` shows."""
    broadcast: Broadcast
    """Hints to every process of the hub that something has changed."""
    drain: Drain = field(default_factory=Drain)
    """The moment from which this process only finishes what is under way."""
