"""Load by wrk on its own core: runs, interleaved rounds over all candidates, medians."""

import json
import statistics
import subprocess
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path

from rich.console import Console

from support import BENCH, LOAD_CORE, TESTED_CORE, Candidate, CoreWatch, Running, cpu_seconds, folder, on_core, tool

CONNECTIONS = 64
WARM_UP_SECONDS = 2
MOST_TAKEN = 0.1
"""Share of the server's core that others may take; a run in which they took more is repeated."""
MOST_REPEATS = 3
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
    taken: float
    """Share of that core that other processes took, or the machine's host."""
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
            run = _undisturbed(candidate, load, check)
            runs[candidate.name].append(run)
            Console().print(f"round {number}: {candidate.name}: {run.rate:,.0f} requests/s, p99 {run.p99:.2f} ms")
    return runs


def median(runs: Sequence[Run]) -> Run:
    """Return the median of each figure by itself."""
    rows = [asdict(run) for run in runs]
    figures = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    return Run(**{key: int(value) if key in {"requests", "failed"} else value for key, value in figures.items()})


def disturbances(runs: Mapping[str, Sequence[Run]]) -> str:
    """Return a sentence on the runs in which others used the server's core as well, repeated or not."""
    taken = [run.taken for each in runs.values() for run in each]
    disturbed = sum(share > MOST_TAKEN for share in taken)
    return f"In {disturbed} of {len(taken)} runs others took over {MOST_TAKEN:.0%} of the server's core, also when repeated."


def ratio(runs: Mapping[str, Sequence[Run]], one: str, other: str) -> float:
    """Return the median, over the rounds, of the rate of ``one`` divided by that of ``other`` in the same round.

    What else the machine does changes from minute to minute; the runs of a round are minutes apart at most.
    """
    pairs = zip(runs[one], runs[other], strict=True)
    return statistics.median(first.rate / second.rate for first, second in pairs)


COLUMNS = ("requests/s", "lowest-highest", "p50, ms", "p99, ms", "core used", "failed")


def row(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the texts under ``COLUMNS``: medians, and the failures of all runs."""
    middle, rates = median(runs), [run.rate for run in runs]
    spread = f"{min(rates):,.0f}-{max(rates):,.0f}"
    failed = f"{sum(run.failed for run in runs):,}"
    return (f"{middle.rate:,.0f}", spread, f"{middle.p50:.2f}", f"{middle.p99:.2f}", f"{middle.core_used:.0%}", failed)


def _undisturbed(candidate: Candidate, load: Load, check: Check | None) -> Run:
    """Measure, again where others used the core as well; the last run counts whatever they did."""
    run = _measure(candidate, load, check)
    for _ in range(MOST_REPEATS):
        if run.taken <= MOST_TAKEN or candidate.shares_core:
            break
        Console().print(f"others took {run.taken:.0%} of the core of {candidate.name}: once more")
        run = _measure(candidate, load, check)
    return run


def _measure(candidate: Candidate, load: Load, check: Check | None) -> Run:
    with folder() as place, candidate.start(place) as running:
        url = running.url + candidate.path
        probe(candidate, running, load.answer)
        warm_up = wrk(url, running, WARM_UP_SECONDS, script=load.script)
        run = wrk(url, running, load.seconds, script=load.script)
        if check is not None:
            check(candidate, place, warm_up.requests - warm_up.failed + run.requests - run.failed)
        return run


def probe(candidate: Candidate, running: Running, answer: bytes | None) -> None:
    """Ask twice; raises RuntimeError unless the second answer is ``answer`` (where there is one), with its proof."""
    if answer is None:
        return
    url = running.url + candidate.path
    _ask(url)
    got, headers = _ask(url)
    name, wanted = candidate.proof or ("Content-Type", "")
    if got != answer or wanted not in headers.get(name, ""):
        msg = f"{candidate.name}: {url} answers {got!r} with {name}: {headers.get(name)}"
        raise RuntimeError(msg)


def _ask(url: str) -> tuple[bytes, Message]:
    with urllib.request.urlopen(url) as response:
        return response.read(), response.headers


def wrk(url: str, running: Running, seconds: int, *, script: str = "report.lua") -> Run:
    """Load a server from the other core; raises RuntimeError where too many requests fail."""
    command = [tool("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "--latency"]
    command += ["-s", str(BENCH / "wrk" / script), url, "--", uuid.uuid4().hex[:8], running.token]
    core = CoreWatch(TESTED_CORE, lambda: cpu_seconds(running.pid))
    ran = subprocess.run(on_core(LOAD_CORE, command), capture_output=True, text=True, check=True)
    run = _parse(ran.stdout, *core.shares())
    if run.failed > MOST_FAILED * run.requests:
        msg = f"{url}: {run.failed} of {run.requests} requests failed: no measurement"
        raise RuntimeError(msg)
    return run


def _parse(output: str, core_used: float, taken: float) -> Run:
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
        taken=taken,
        failed=said["failed_status"] + said["failed_socket"],
    )
