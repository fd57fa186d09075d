"""Conversations: import rows/s, and searches/s beside Datasette and SQLModel with a cache in Redis, one core each.

``python bench/conversations.py``; ``--small`` tries it with few rows and short runs.
"""

import argparse
import http.client
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from conversations_data import Imported, fill_table, make, make_token, queries, run_import
from conversations_servers import Prepared, datasette, hub, sqlmodel, to_hub
from load import COLUMNS, CONNECTIONS, WARM_UP_SECONDS, Load, Run, disturbances, interleaved, median, ratio, row
from report import LEAST_ROUNDS, Report, Target, publish
from support import Candidate, folder, require

ROWS, SMALL = 1_000_000, 20_000
QUERIES = 100_000
ALONE = 2_000
"""Searches that are asked one after the other."""

LEAST_IMPORTED, MOST_WAITED, MOST_WAITED_WORDS = 200_000, 100.0, 200.0
MOST_P99, LEAST_CACHED, LEAST_OF_DATASETTE = 10.0, 10_000.0, 10.0

FIRST, AGAIN, KNOWN = "Signalbox, each search once", "Signalbox, from its cache", "Signalbox, 304"
DATASETTE_FIRST, DATASETTE_AGAIN = "Datasette, each search once", "Datasette, the same search"
SQLMODEL_FIRST, SQLMODEL_AGAIN = "SQLModel, each search once", "SQLModel, from Redis"


def main() -> int:
    """Measure, print and keep; the exit status tells whether the targets were met."""
    options = _options()
    require("wrk", "taskset", "signalbox", "datasette", "redis-server")
    with folder() as place:
        imported, prepared = _prepare(place, SMALL if options.small else ROWS, 1 if options.small else options.rounds)
        alone = _ask_alone(prepared)
        candidates = _candidates(prepared)
        seconds, rounds = (1, 1) if options.small else (options.seconds, options.rounds)
        runs = interleaved(candidates, Load(seconds, rounds, script="conversations.lua"))
    report = _report(imported, alone, candidates, runs, seconds)
    return publish(report, keep=not options.small and rounds >= LEAST_ROUNDS)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--small", action="store_true")
    return parser.parse_args()


def _prepare(place: Path, rows: int, rounds: int) -> tuple[list[Imported], Prepared]:
    """Import a data set as often as there are rounds, and give peers the rows of the last."""
    source, imported, data = make(place / "dataset", rows), [], place / "data"
    for number in range(rounds):
        data = place / f"data-{number}"
        data.mkdir()
        imported.append(run_import(source, data))
        Console().print(f"import {number + 1}: {imported[-1].rows / imported[-1].live:,.0f} rows/s until it was live")
    token, table = make_token(data), place / "peers.db"
    fill_table(data, table)
    return imported, Prepared(data, table, token, queries(table, QUERIES))


def _candidates(prepared: Prepared) -> list[Candidate]:
    return [
        hub(prepared, FIRST, many=True),
        datasette(prepared, DATASETTE_FIRST, many=True),
        sqlmodel(prepared, SQLMODEL_FIRST, many=True),
        hub(prepared, AGAIN),
        hub(prepared, KNOWN, known=True),
        datasette(prepared, DATASETTE_AGAIN),
        sqlmodel(prepared, SQLMODEL_AGAIN),
    ]


def _ask_alone(prepared: Prepared) -> list[float]:
    """Milliseconds that each of many different searches takes while nobody else asks, ascending."""
    with folder() as place, hub(prepared, FIRST, many=True).start(place) as running:
        connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=30)
        taken = []
        for query in prepared.queries[-ALONE:]:
            begun = time.perf_counter()
            connection.request("GET", to_hub(query), headers={"Token": prepared.token})
            connection.getresponse().read()
            taken.append((time.perf_counter() - begun) * 1e3)
        connection.close()
    return sorted(taken)


def _report(
    imported: Sequence[Imported],
    alone: Sequence[float],
    candidates: Sequence[Candidate],
    runs: Mapping[str, list[Run]],
    seconds: int,
) -> Report:
    p50, p99 = (alone[int(len(alone) * share)] for share in (0.5, 0.99))
    live, both = _rate(imported, lambda each: each.live), _rate(imported, lambda each: each.live + each.words)
    plot = (
        f"Import of {imported[0].rows:,} rows: {live:,.0f} rows/s until it is live, "
        f"{_rate(imported, lambda each: each.words):,.0f} rows/s for words after that, {both:,.0f} rows/s for all of it.\n"
        f"Another process that wrote every 20 ms waited {_middle(imported, 'wait_live'):.1f} ms (p99) until it was live, "
        f"{_middle(imported, 'wait_words'):.1f} ms beside words, {max(each.wait_max for each in imported):.0f} ms at most; "
        f"the command held {max(each.memory for each in imported)} MB at most.\n"
        f"Different searches one after the other: {p50:.2f} ms (p50), {p99:.2f} ms (p99), {alone[-1]:.1f} ms at most."
    )
    return Report(
        name="conversations",
        title="Conversations: searches/s by company and two tags, through one core",
        how=f"{imported[0].rows:,} made-up rows, imported by the command on one core while another process writes to the "
        f"same SQLite file; then wrk with 1 thread and {CONNECTIONS} keep-alive connections for {seconds} s after "
        f"{WARM_UP_SECONDS} s of warm-up, medians of {len(imported)} interleaved rounds, every server freshly started on "
        "one core, wrk and Redis on another. Peers search a table of the same conversations with an index that covers "
        "the search; each server was seen to find the same ids and totals before. Ratios are taken within each round. "
        f"{disturbances(runs)}",
        columns=("server", *COLUMNS),
        rows=[(name, *row(each)) for name, each in runs.items()],
        targets=[
            Target("rows/s of an import until it is live", live, least=LEAST_IMPORTED),
            Target("another writer's wait until then, p99, ms", _middle(imported, "wait_live"), most=MOST_WAITED),
            Target("its wait beside words, p99, ms", _middle(imported, "wait_words"), most=MOST_WAITED_WORDS),
            Target("a search that was not asked before, p99, ms", p99, most=MOST_P99),
            Target("searches/s from the cache", median(runs[AGAIN]).rate, least=LEAST_CACHED),
            Target("304/s", median(runs[KNOWN]).rate, least=LEAST_CACHED),
            Target("hub / Datasette, the same search", ratio(runs, AGAIN, DATASETTE_AGAIN), least=LEAST_OF_DATASETTE),
            Target("hub / Datasette, each search once", ratio(runs, FIRST, DATASETTE_FIRST), least=LEAST_OF_DATASETTE),
        ],
        settings={candidate.name: candidate.settings for candidate in candidates},
        raw={
            "imports": [asdict(each) for each in imported],
            **{name: [asdict(run) for run in each] for name, each in runs.items()},
        },
        plot=plot,
    )


def _rate(imported: Sequence[Imported], seconds: Callable[[Imported], float]) -> float:
    return statistics.median(each.rows / seconds(each) for each in imported)


def _middle(imported: Sequence[Imported], name: str) -> float:
    return statistics.median(float(getattr(each, name)) for each in imported)


if __name__ == "__main__":
    raise SystemExit(main())
