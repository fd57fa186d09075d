"""Large bodies: memory and throughput of the hub with 1 GB down and 1 GB up, beside nginx and Caddy.

``python bench/bodies.py``; every byte is checked by its length, uploads also by their SHA-256.
"""

import argparse
import hashlib
import json
import os
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from rich.console import Console

from report import LEAST_ROUNDS, Report, Target, publish
from servers import caddy, hub, nginx, sandbox
from support import LOAD_CORE, Candidate, Running, folder, require, resident

MEGABYTE = 1_000_000
SAMPLE_SECONDS = 0.05
MOST_GROWTH = 50.0
PIECE = bytes(range(256)) * 4096
"""1 MiB."""

HUB = "Signalbox, statistics on"
DIRECT = "no proxy"


@dataclass(frozen=True)
class Transfer:
    """One body through one proxy."""

    seconds: float
    megabytes_per_second: float
    growth: float
    """Highest resident memory during the transfer less that before it, MB."""


def main() -> int:
    """Measure, print and keep; the exit status tells whether the targets were met."""
    options = _options()
    require("nginx", "caddy", "taskset", *(["signalbox"] if not options.without_hub else []))
    os.sched_setaffinity(0, {LOAD_CORE})
    with folder() as place, sandbox(place) as there:
        candidates = _candidates(there, without_hub=options.without_hub)
        runs = _rounds(candidates, options.rounds, options.megabytes * MEGABYTE)
    keep = not options.without_hub and options.rounds >= LEAST_ROUNDS
    return publish(_report(candidates, runs, options), keep=keep)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--without-hub", action="store_true")
    return parser.parse_args()


def _candidates(there: Running, *, without_hub: bool) -> list[Candidate]:
    direct = Candidate(
        DIRECT, "the simulated upstream itself (uvicorn), asked without a proxy", lambda _: _as_is(there)
    )
    peers = [direct, nginx(there.url, streaming=True), caddy(there.url)]
    return peers if without_hub else [*peers, hub(there.url)]


@contextmanager
def _as_is(running: Running) -> Iterator[Running]:
    yield running


def _rounds(candidates: Sequence[Candidate], rounds: int, size: int) -> dict[str, list[Transfer]]:
    ways: dict[str, Callable[[str, int], None]] = {"down": _download, "up": _upload}
    runs: dict[str, list[Transfer]] = {}
    for _ in range(rounds):
        for candidate in candidates:
            for way, transfer in ways.items():
                run = _measure(candidate, transfer, size)
                runs.setdefault(f"{candidate.name}, {way}", []).append(run)
                Console().print(f"{candidate.name}, {way}: {run.megabytes_per_second:,.0f} MB/s, +{run.growth:.1f} MB")
    return runs


def _measure(candidate: Candidate, transfer: Callable[[str, int], None], size: int) -> Transfer:
    with folder() as place, candidate.start(place) as running:
        for _ in range(3):
            transfer(running.url, MEGABYTE)
        before = resident(running.pid)
        with _highest(running.pid) as highest:
            started = time.perf_counter()
            transfer(running.url, size)
            seconds = time.perf_counter() - started
        growth = max(highest) - before
    return Transfer(seconds, size / seconds / MEGABYTE, growth / MEGABYTE)


@contextmanager
def _highest(group: int) -> Iterator[list[int]]:
    """Sample the resident memory of a process group, in bytes, until the block ends."""
    samples, over = [resident(group)], threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE_SECONDS):
            samples.append(resident(group))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield samples
    finally:
        over.set()
        sampler.join()
        samples.append(resident(group))


def _download(url: str, size: int) -> None:
    with _connect(url) as connection:
        connection.sendall(f"GET /bytes/{size} HTTP/1.1\r\nHost: {_host(url)}\r\nConnection: close\r\n\r\n".encode())
        head, received = _head(connection)
        left, buffer = size - len(received), bytearray(len(PIECE))
        while left > 0 and (count := connection.recv_into(buffer)):
            left -= count
    if left or b" 200 " not in head.split(b"\r\n")[0]:
        msg = f"{left} bytes of the body are missing after: {head!r}"
        raise RuntimeError(msg)


def _upload(url: str, size: int) -> None:
    with _connect(url) as connection:
        head = f"POST /echo HTTP/1.1\r\nHost: {_host(url)}\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        for piece in _pieces(size):
            connection.sendall(piece)
        answered, body = _head(connection)
        while received := connection.recv(len(PIECE)):
            body += received
    _check_echo(answered, body, size)


def _check_echo(head: bytes, body: bytes, size: int) -> None:
    """Raise RuntimeError unless the upstream got the body; its answer may come chunked, so look between the braces."""
    echoed = json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])
    if echoed["body_length"] != size or echoed["body_sha256"] != _digest(size):
        msg = f"the upstream did not receive what was sent: {head!r} {body!r}"
        raise RuntimeError(msg)


def _digest(size: int) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(size):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(size: int) -> Iterator[memoryview]:
    for start in range(0, size, len(PIECE)):
        yield memoryview(PIECE)[: size - start]


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=60)


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65_536)
        if not piece:
            msg = f"the connection ended after {received!r}"
            raise RuntimeError(msg)
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


def _report(candidates: Sequence[Candidate], runs: Mapping[str, list[Transfer]], options: argparse.Namespace) -> Report:
    worst = {name: max(run.growth for run in each) for name, each in runs.items()}
    return Report(
        name="bodies",
        title=f"Bodies of {options.megabytes:,} MB through one core",
        how=f"One connection, one body at a time; medians of {options.rounds} interleaved rounds, memory the highest "
        f"of all rounds, sampled every {SAMPLE_SECONDS:g} s after three bodies of 1 MB; the proxy on one core, the "
        "simulated upstream and the client together on another, so that rates are lower bounds.",
        columns=("proxy, direction", "MB/s", "memory growth, MB"),
        rows=[(name, f"{_rate(each):,.0f}", f"{worst[name]:.1f}") for name, each in runs.items()],
        targets=[
            Target(f"memory growth of {name}, MB", growth, most=MOST_GROWTH)
            for name, growth in worst.items()
            if name.startswith(HUB)
        ],
        settings={candidate.name: candidate.settings for candidate in candidates},
        raw={name: [asdict(run) for run in each] for name, each in runs.items()},
    )


def _rate(each: Sequence[Transfer]) -> float:
    return statistics.median(run.megabytes_per_second for run in each)


if __name__ == "__main__":
    raise SystemExit(main())
