"""Tasks and jobs: drained and begun beside Celery and PgQueuer, accepted durably, polled by the hundred thousand.

``python bench/tasks.py``; ``--rounds``, ``--seconds``, ``--jobs``, ``--tasks`` and ``--only`` shorten it.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from drain import CELERY, HUB_POSTGRESQL, HUB_SQLITE, PGQUEUER, broker_version, drain_rate, engines, say, start_latency
from flight import Flight, check_rows, fly, intake_hub
from load import CONNECTIONS, WARM_UP_SECONDS, Load, Run, interleaved
from report import LEAST_ROUNDS, Report, Target, publish
from support import require

PARTS = ("drain", "latency", "intake", "flight")
DATABASES = ("sqlite", "postgresql")
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
SAMPLES = 200

Figures = Mapping[str, Sequence[float]]


def main() -> int:
    """Measure, print and keep; the exit status tells whether the targets were met."""
    options = _options()
    wanted = options.only or PARTS
    require("taskset", "signalbox", *(["wrk"] if "intake" in wanted else []))
    rates = _drain(options) if "drain" in wanted else {}
    delays = _latency(options) if "latency" in wanted else {}
    runs = _intake(options) if "intake" in wanted else []
    flights = _flights(options) if "flight" in wanted else {}
    report = _report(rates, delays, runs, flights, options)
    return publish(report, keep=not options.only and options.rounds >= LEAST_ROUNDS)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--seconds", type=int, default=6, help="of each run of intake")
    parser.add_argument("--jobs", type=int, default=30_000, help="to drain; Celery gets a fifth of them")
    parser.add_argument("--tasks", type=int, default=100_000, help="in flight")
    parser.add_argument("--interval", type=float, default=12.0, help="seconds between two polls")
    parser.add_argument("--only", nargs="+", choices=PARTS)
    return parser.parse_args()


def _drain(options: argparse.Namespace) -> Figures:
    rates: dict[str, list[float]] = {}
    for number in range(1, options.rounds + 1):
        for engine in engines():
            rate = drain_rate(engine, options.jobs)
            rates.setdefault(engine.name, []).append(rate)
            say(f"round {number}: {engine.name}: {rate:,.0f} jobs/s")
    return rates


def _latency(options: argparse.Namespace) -> Figures:
    delays: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for database in DATABASES:
            delay = start_latency(database, SAMPLES)
            delays.setdefault(database, []).append(delay)
            say(f"{database}: a job begins {delay:.2f} ms after it is enqueued")
    return delays


def _intake(options: argparse.Namespace) -> list[Run]:
    candidate = intake_hub()
    load = Load(options.seconds, options.rounds, script="tasks.lua")
    return interleaved([candidate], load, check_rows)[candidate.name]


def _flights(options: argparse.Namespace) -> Mapping[str, list[Flight]]:
    flights: dict[str, list[Flight]] = {}
    for _ in range(options.rounds):
        for database in DATABASES:
            flight = fly(options.tasks, database=database, interval=options.interval)
            flights.setdefault(database, []).append(flight)
            say(f"{database}: poll {flight.poll_seconds:.2f} s, idle {flight.idle_core:.2%} of a core")
    return flights


def _report(
    rates: Figures,
    delays: Figures,
    runs: Sequence[Run],
    flights: Mapping[str, Sequence[Flight]],
    options: argparse.Namespace,
) -> Report:
    rows = [("no-op jobs drained", name, *_spread(each, "{:,.0f} jobs/s")) for name, each in rates.items()]
    rows += [("enqueue to start", NAMES[name], *_spread(each, "{:.2f} ms")) for name, each in delays.items()]
    if runs:
        rows.append(("tasks accepted", "SQLite", *_spread([run.rate for run in runs], "{:,.0f} requests/s")))
    for name, each in flights.items():
        polls, idle = [one.poll_seconds for one in each], [100 * one.idle_core for one in each]
        rows.append((f"a poll that changes {options.tasks:,} tasks", NAMES[name], *_spread(polls, "{:.2f} s")))
        rows.append((f"idle with {options.tasks:,} in flight", NAMES[name], *_spread(idle, "{:.2f} % of a core")))
    return Report(
        name="tasks",
        title="Tasks and jobs",
        how=f"Medians of {options.rounds} interleaved rounds, everything freshly started, the worker or hub on one core; "
        f"PostgreSQL and RabbitMQ where the system puts them. Drained: {options.jobs:,} jobs that wait already (Celery: a "
        "fifth of them), from the beginning of the first until all are recorded. Enqueue to start: "
        f"{SAMPLES} single jobs, 5 to 20 ms apart; on PostgreSQL heard by NOTIFY. Accepted: POST /api/tasks by wrk with "
        f"{CONNECTIONS} connections for {options.seconds} s after {WARM_UP_SECONDS} s of warm-up, rows counted afterwards. A "
        "poll: from the provider's being asked (a process on another core) to the last commit.",
        columns=("what", "engine or database", "median", "lowest-highest"),
        rows=rows,
        targets=[*_ratios(rates), *_figures(delays, runs, flights)],
        settings={**{each.name: each.settings for each in engines()}, "Broker": broker_version()},
        raw={
            "drained": rates,
            "enqueue to start": delays,
            "accepted": [asdict(run) for run in runs],
            "flights": {name: [asdict(one) for one in each] for name, each in flights.items()},
        },
    )


def _spread(figures: Sequence[float], form: str) -> tuple[str, str]:
    number = form.split(" ", 1)[0]
    lowest, highest = number.format(min(figures)), number.format(max(figures))
    return form.format(statistics.median(figures)), f"{lowest}-{highest}"


def _ratios(rates: Figures) -> list[Target]:
    wanted = [
        ("PostgreSQL / Celery prefork", HUB_POSTGRESQL, CELERY, 10),
        ("SQLite / Celery prefork", HUB_SQLITE, CELERY, 10),
        ("PostgreSQL / PgQueuer", HUB_POSTGRESQL, PGQUEUER, 2),
    ]
    return [
        Target(name, statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True)), least=least)
        for name, one, other, least in wanted
        if rates
    ]


def _figures(delays: Figures, runs: Sequence[Run], flights: Mapping[str, Sequence[Flight]]) -> list[Target]:
    found = [
        Target(f"enqueue to start, {NAMES[name]}, ms", statistics.median(each), most=5) for name, each in delays.items()
    ]
    if runs:
        found.append(Target("accepted, requests/s", statistics.median(run.rate for run in runs), least=5_000))
    for name, each in flights.items():
        polls, idle = [one.poll_seconds for one in each], [one.idle_core for one in each]
        found.append(Target(f"poll, {NAMES[name]}, s", statistics.median(polls), most=2))
        found.append(Target(f"idle, {NAMES[name]}, of a core", statistics.median(idle), most=0.01))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
