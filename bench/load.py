"""Load by wrk on its own core: runs, interleaved rounds over all candidates, medians."""

import json
import statistics
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from support import BENCH, LOAD_CORE, Candidate, Running, cpu_seconds, folder, on_core, tool

CONNECTIONS = 64
WARM_UP_SECONDS = 2
MOST_FAILED = 0.01
"""Share of failed requests over which a run is no measurement."""


@dataclass(frozen=True)
class Run:
    """One run of wrk; times in milliseconds."""

    requests: int
    rate: float
    """Requests per second."""
    p50: float
    p99: float
    core_used: float
    """Share of its core that the server used; well below 1 means that the load or the upstream was the limit."""
    failed: int
    """Answers other than 2xx and 3xx, and socket errors."""


@dataclass(frozen=True)
class Load:
    """How wrk asks: with a script of ``wrk/``, for ``seconds``, in ``rounds``."""

    seconds: int
    rounds: int
    script: str = "report.lua"
    answer: bytes | None = None
    """What a GET must answer before a server is measured."""


Check = Callable[[Candidate, Path, int], None]
"""Called with the candidate, its folder and the number of 2xx that it gave, while it still runs."""


def interleaved(candidates: Sequence[Candidate], load: Load, check: Check | None = None) -> dict[str, list[Run]]:
    """Measure every candidate once per round, each time freshly started and alone on its core."""
    runs: dict[str, list[Run]] = {candidate.name: [] for candidate in candidates}
    for number in range(1, load.rounds + 1):
        for candidate in candidates:
            run = _measure(candidate, load, check)
            runs[candidate.name].append(run)
            Console().print(f"round {number}: {candidate.name}: {run.rate:,.0f} requests/s, p99 {run.p99:.2f} ms")
    return runs


def median(runs: Sequence[Run]) -> Run:
    """Return the median of each figure by itself."""
    rows = [asdict(run) for run in runs]
    figures = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    return Run(**{key: int(value) if key in {"requests", "failed"} else value for key, value in figures.items()})


COLUMNS = ("requests/s", "lowest-highest", "p50, ms", "p99, ms", "core used", "failed")


def row(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the texts under ``COLUMNS``: medians, and the failures of all runs."""
    middle, rates = median(runs), [run.rate for run in runs]
    spread = f"{min(rates):,.0f}-{max(rates):,.0f}"
    failed = f"{sum(run.failed for run in runs):,}"
    return (f"{middle.rate:,.0f}", spread, f"{middle.p50:.2f}", f"{middle.p99:.2f}", f"{middle.core_used:.0%}", failed)


def _measure(candidate: Candidate, load: Load, check: Check | None) -> Run:
    with folder() as place, candidate.start(place) as running:
        url = running.url + candidate.path
        _probe(url, load)
        warm_up = _wrk(url, running, load, WARM_UP_SECONDS)
        run = _wrk(url, running, load, load.seconds)
        if run.failed > MOST_FAILED * run.requests:
            msg = f"{candidate.name}: {run.failed} of {run.requests} requests failed: no measurement"
            raise RuntimeError(msg)
        if check is not None:
            check(candidate, place, warm_up.requests - warm_up.failed + run.requests - run.failed)
        return run


def _probe(url: str, load: Load) -> None:
    if load.answer is None:
        return
    with urllib.request.urlopen(url) as response:
        answer = response.read()
    if answer != load.answer:
        msg = f"{url} answers {answer!r}"
        raise RuntimeError(msg)


def _wrk(url: str, running: Running, load: Load, seconds: int) -> Run:
    command = [tool("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "--latency"]
    command += ["-s", str(BENCH / "wrk" / load.script), url, "--", uuid.uuid4().hex[:8], running.token]
    before, started = cpu_seconds(running.pid), time.perf_counter()
    ran = subprocess.run(on_core(LOAD_CORE, command), capture_output=True, text=True, check=True)
    core_used = (cpu_seconds(running.pid) - before) / (time.perf_counter() - started)
    return _parse(ran.stdout, core_used)


def _parse(output: str, core_used: float) -> Run:
    lines = [line for line in output.splitlines() if line.startswith("JSON ")]
    if not lines:
        msg = f"wrk reported nothing:\n{output}"
        raise RuntimeError(msg)
    said = json.loads(lines[0].removeprefix("JSON "))
    return Run(
        requests=said["requests"],
        rate=said["requests"] / said["duration_us"] * 1e6,
        p50=said["p50_us"] / 1000,
        p99=said["p99_us"] / 1000,
        core_used=core_used,
        failed=said["failed_status"] + said["failed_socket"],
    )
