"""Added latency: what the hub adds to a call at 70 % of its load, beside nginx; 64 connections, 300 bytes of JSON.

``python bench/latency.py``. The load is open: requests fall due at a constant rate whatever the answers do, and each
is timed from when it was due, also where no connection was free then (no coordinated omission: a server that halts
for a moment is charged for every request that should have been sent meanwhile).
"""

import argparse
import gc
import os
import select
import socket
import statistics
import time
from array import array
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from rich.console import Console

from load import CONNECTIONS, MOST_REPEATS, MOST_TAKEN, WARM_UP_SECONDS, probe, wrk
from report import LEAST_ROUNDS, Report, Target, publish
from servers import ANSWER, hub, nginx, upstream
from support import LOAD_CORE, TESTED_CORE, Candidate, CoreWatch, Running, cpu_seconds, folder, require

SHARE = 0.7
"""Of the hub's requests/s at full load, measured just before in the same round."""
MOST_ADDED_P50, MOST_ADDED_P99 = 1.0, 5.0
"""Milliseconds."""
MOST_OWN_P99 = 1.0
"""Milliseconds; where the upstream asked directly takes longer, the load generator is what is measured."""
PATIENCE = 10.0
"""Seconds after its end by which a run's last answer must have come."""

HUB = "Signalbox, statistics on"
DIRECT = "no proxy"

_MILLISECONDS = 1_000.0


@dataclass(frozen=True)
class Run:
    """One run at a constant rate; times in milliseconds from when a request was due."""

    rate: float
    """Requests/s, wanted and reached."""
    p50: float
    p99: float
    p999: float
    highest: float
    sent_late_p99: float
    """By how much the generator itself sent later than due, though a connection was free."""
    queued: int
    """Requests that found every connection taken when they were due."""
    load_core_used: float
    """Share of the core that generator and upstream have together."""
    proxy_core_used: float
    """Share of its core that the proxy used: small requests that come one by one cost more than those of full load."""
    taken: float
    """Share that others took, of this core or of the proxy's, whichever is more."""


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    due: float = 0.0
    received: bytes = b""


class Generator:
    """Sends one GET again and again over connections that stay open.

    It polls its connections by itself: timers of event loops are whole milliseconds, in which 15 requests fall due.
    Only ``select`` sleeps for microseconds, and it watches one descriptor, behind which epoll watches the connections.
    """

    def __init__(self, url: str, *, answer: bytes, connections: int = CONNECTIONS) -> None:
        parts = urlsplit(url)
        self._request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
        self._answer = answer
        self._epoll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        for _ in range(connections):
            opened = socket.create_connection((parts.hostname, parts.port or 80))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[opened.fileno()] = _Connection(opened)
            self._epoll.register(opened, select.EPOLLIN)
        self._free = deque(self._connections.values())
        self._waiting: deque[float] = deque()
        self._latencies, self._lateness, self._queued = array("d"), array("d"), 0

    def close(self) -> None:
        """Close the connections."""
        self._epoll.close()
        for each in self._connections.values():
            each.socket.close()

    def run(self, rate: float, seconds: float, *, tested: Running | None, beside: Running) -> Run:
        """Send ``rate`` requests/s for ``seconds`` to ``tested``, if that is a proxy; ``beside`` runs on our core.

        Raises:
            RuntimeError: an answer is not what it should be, or answers cannot keep up with the rate.
        """
        self._latencies, self._lateness, self._queued = array("d"), array("d"), 0
        own = CoreWatch(LOAD_CORE, lambda: time.process_time() + cpu_seconds(beside.pid))
        other = CoreWatch(TESTED_CORE, lambda: 0.0 if tested is None else cpu_seconds(tested.pid))
        self._send_all(rate, round(rate * seconds))
        (used, taken), (proxy_used, taken_there) = own.shares(), other.shares()
        return self._summary(rate, (used, proxy_used), max(taken, taken_there))

    def _send_all(self, rate: float, count: int) -> None:
        clock, latencies, wake = time.perf_counter, self._latencies, [self._epoll.fileno()]
        step, number = 1 / rate, 0
        start = clock()
        until = start + count * step + PATIENCE
        while len(latencies) < count:
            now = clock()
            due = start + number * step
            while number < count and due <= now:
                self._send_or_queue(due, now)
                number += 1
                due = start + number * step
            if now > until:
                msg = f"{count - len(latencies)} of {count} answers had not come {PATIENCE:g} s after the end"
                raise RuntimeError(msg)
            if select.select(wake, (), (), max(0.0, due - clock()) if number < count else PATIENCE)[0]:
                for number_of_socket, _ in self._epoll.poll(0):
                    self._receive(self._connections[number_of_socket])

    def _send_or_queue(self, due: float, now: float) -> None:
        if self._free:
            self._lateness.append(now - due)
            self._send(self._free.popleft(), due)
        else:
            self._queued += 1
            self._waiting.append(due)

    def _send(self, connection: _Connection, due: float) -> None:
        connection.due = due
        connection.socket.send(self._request)

    def _receive(self, connection: _Connection) -> None:
        piece = connection.socket.recv(65_536)
        received = connection.received = connection.received + piece if connection.received else piece
        if received.endswith(self._answer) and received.startswith(b"HTTP/1.1 200 "):
            self._latencies.append(time.perf_counter() - connection.due)
            connection.received = b""
            if self._waiting:
                self._send(connection, self._waiting.popleft())
            else:
                self._free.append(connection)
        elif not piece or len(received) > len(self._answer) + 8_192:
            msg = f"not the expected answer: {received[:500]!r}"
            raise RuntimeError(msg)

    def _summary(self, rate: float, cores_used: tuple[float, float], taken: float) -> Run:
        latencies = sorted(self._latencies)
        late = sorted(self._lateness) or [0.0]
        return Run(
            rate=rate,
            p50=_percentile(latencies, 0.5),
            p99=_percentile(latencies, 0.99),
            p999=_percentile(latencies, 0.999),
            highest=latencies[-1] * _MILLISECONDS,
            sent_late_p99=_percentile(late, 0.99),
            queued=self._queued,
            load_core_used=cores_used[0],
            proxy_core_used=cores_used[1],
            taken=taken,
        )


def main() -> int:
    """Measure, print and keep; the exit status tells whether the targets were met."""
    options = _options()
    require("nginx", "wrk", "taskset", "signalbox")
    os.sched_setaffinity(0, {LOAD_CORE})
    gc.disable()  # a run makes no cycles, and what a collection takes would be measured
    with folder() as place, upstream(place) as there:
        candidates = [hub(there.url), nginx(there.url)]
        runs: dict[str, list[Run]] = {}
        for _ in range(options.rounds):
            for name, run in _undisturbed(candidates, there, options.seconds).items():
                runs.setdefault(name, []).append(run)
                Console().print(f"{name}: {run.rate:,.0f} requests/s, p50 {run.p50:.2f} ms, p99 {run.p99:.2f} ms")
    return publish(_report(candidates, runs, options), keep=options.rounds >= LEAST_ROUNDS)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--seconds", type=int, default=8)
    return parser.parse_args()


def _undisturbed(candidates: Sequence[Candidate], there: Running, seconds: int) -> dict[str, Run]:
    """Measure a round, again where others used the cores as well; the last one counts whatever they did."""
    runs = _round(candidates, there, seconds)
    for _ in range(MOST_REPEATS):
        taken = max(run.taken for run in runs.values())
        if taken <= MOST_TAKEN:
            break
        Console().print(f"others took {taken:.0%} of a core: once more")
        runs = _round(candidates, there, seconds)
    return runs


def _round(candidates: Sequence[Candidate], there: Running, seconds: int) -> dict[str, Run]:
    """Measure the hub's maximum, then at its share all ways, one after the other."""
    runs: dict[str, Run] = {}
    rate = 0.0
    for candidate in candidates:
        with folder() as place, candidate.start(place) as running:
            probe(candidate, running, ANSWER.encode())
            wrk(running.url + candidate.path, running, WARM_UP_SECONDS)
            rate = rate or SHARE * wrk(running.url + candidate.path, running, seconds).rate
            runs[candidate.name] = _measure(running.url + candidate.path, rate, seconds, tested=running, beside=there)
    direct = _measure(there.url + candidates[0].path, rate, seconds, tested=None, beside=there)
    return {DIRECT: direct, **runs}


def _measure(url: str, rate: float, seconds: int, *, tested: Running | None, beside: Running) -> Run:
    with closing(Generator(url, answer=ANSWER.encode())) as generator:
        generator.run(rate, WARM_UP_SECONDS, tested=tested, beside=beside)
        return generator.run(rate, seconds, tested=tested, beside=beside)


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of ascending seconds, in milliseconds."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * _MILLISECONDS


def _report(candidates: Sequence[Candidate], runs: dict[str, list[Run]], options: argparse.Namespace) -> Report:
    return Report(
        name="latency",
        title=f"Added latency at {SHARE:.0%} of the hub's load",
        how=f"Requests due at a constant rate, {SHARE:.0%} of what wrk got out of the hub just before, for "
        f"{options.seconds} s after {WARM_UP_SECONDS} s of warm-up, over {CONNECTIONS} connections, each timed from when "
        f"it was due; medians of {options.rounds} rounds, in each of which every way got the same rate; added: the "
        "difference to the same percentile of the upstream asked directly, in the same round; the proxy on one core, "
        "upstream (nginx, 300 bytes of JSON, keep-alive) and load generator on another.",
        columns=(
            "way",
            "requests/s",
            "p50, ms",
            "p99, ms",
            "p99.9, ms",
            "added p50",
            "added p99",
            "sent late",
            "core",
            "proxy's core",
        ),
        rows=[_row(name, runs) for name in runs],
        targets=[
            Target("added by the hub, p50, ms", _added(runs, HUB, "p50"), most=MOST_ADDED_P50),
            Target("added by the hub, p99, ms", _added(runs, HUB, "p99"), most=MOST_ADDED_P99),
            Target("the load generator itself, p99, ms", _middle(runs[DIRECT], "p99"), most=MOST_OWN_P99),
        ],
        settings={
            **{candidate.name: candidate.settings for candidate in candidates},
            "sent late": "99 % of requests were sent at most that many ms after they were due, if a connection was free",
            "core": "share that generator and upstream used of their core",
            "proxy's core": "share that the proxy used of its own",
        },
        raw={name: [asdict(run) for run in each] for name, each in runs.items()},
    )


def _row(name: str, runs: dict[str, list[Run]]) -> tuple[str, ...]:
    figures = [f"{_middle(runs[name], field):.2f}" for field in ("p50", "p99", "p999")]
    added = ["-" if name == DIRECT else f"{_added(runs, name, field):.2f}" for field in ("p50", "p99")]
    late = f"{_middle(runs[name], 'sent_late_p99'):.2f}"
    cores = [f"{_middle(runs[name], field):.0%}" for field in ("load_core_used", "proxy_core_used")]
    return (name, f"{_middle(runs[name], 'rate'):,.0f}", *figures, *added, late, *cores)


def _added(runs: dict[str, list[Run]], name: str, field: str) -> float:
    """Return the median over the rounds of what a way adds to a percentile."""
    pairs = zip(runs[name], runs[DIRECT], strict=True)
    return statistics.median(_figure(way, field) - _figure(direct, field) for way, direct in pairs)


def _middle(each: Sequence[Run], field: str) -> float:
    return statistics.median(_figure(run, field) for run in each)


def _figure(run: Run, field: str) -> float:
    return float(getattr(run, field))


if __name__ == "__main__":
    raise SystemExit(main())
