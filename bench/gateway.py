"""Gateway: requests/s of the hub as a proxy beside nginx, Caddy and the reference style, one core each.

``python bench/gateway.py``; ``--rounds``, ``--seconds`` and ``--only`` shorten it.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from load import COLUMNS, CONNECTIONS, WARM_UP_SECONDS, Load, Run, interleaved, median, row
from report import LEAST_ROUNDS, Report, Target, publish
from servers import ANSWER, caddy, hub, nginx, python_peer, upstream
from support import Candidate, folder, require

HUB = "Signalbox, statistics on"
HUB_OFF = "Signalbox, statistics off"
REFERENCE = "reference style"


def main() -> int:
    """Measure, print and keep; the exit status tells whether the targets were met."""
    options = _options()
    require("nginx", "caddy", "wrk", "taskset", *(["signalbox"] if not options.only or "hub" in options.only else []))
    with folder() as place, upstream(place) as there:
        candidates = _candidates(there.url, options.only)
        runs = interleaved(candidates, Load(options.seconds, options.rounds, answer=ANSWER.encode()))
    report = _report(candidates, runs, options)
    return publish(report, keep=not options.only and options.rounds >= LEAST_ROUNDS)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--only", nargs="+", choices=["nginx", "caddy", "hub", "reference"], default=[])
    return parser.parse_args()


def _candidates(target: str, only: Sequence[str]) -> list[Candidate]:
    makers: dict[str, Callable[[], list[Candidate]]] = {
        "nginx": lambda: [nginx(target)],
        "caddy": lambda: [caddy(target), caddy(target, access_log=False)],
        "hub": lambda: [hub(target, statistics=True), hub(target, statistics=False)],
        "reference": lambda: [_reference(target)],
    }
    return [candidate for name, make in makers.items() if not only or name in only for candidate in make()]


def _reference(target: str) -> Candidate:
    settings = "FastAPI, a new httpx.AsyncClient for each request, uvicorn, 1 process, no access log"
    return python_peer(REFERENCE, "reference_gateway", settings, {"UPSTREAM": target})


def _report(candidates: Sequence[Candidate], runs: Mapping[str, list[Run]], options: argparse.Namespace) -> Report:
    medians = {name: median(each) for name, each in runs.items()}
    return Report(
        name="gateway",
        title="Gateway: requests/s through one core",
        how=f"wrk with 1 thread and {CONNECTIONS} connections for {options.seconds} s after {WARM_UP_SECONDS} s of "
        f"warm-up; medians of {options.rounds} interleaved rounds, every server freshly started; the server on one "
        "core, upstream (nginx, 300 bytes of JSON, keep-alive) and wrk on another.",
        columns=("proxy", *COLUMNS, "of nginx"),
        rows=[(name, *row(each), _ratio(each, medians)) for name, each in runs.items()],
        targets=_targets(medians),
        settings={candidate.name: candidate.settings for candidate in candidates},
        raw={name: [asdict(run) for run in each] for name, each in runs.items()},
    )


def _ratio(runs: Sequence[Run], medians: Mapping[str, Run]) -> str:
    return f"{median(runs).rate / medians['nginx'].rate:.4f}" if "nginx" in medians else "-"


def _targets(medians: Mapping[str, Run]) -> list[Target]:
    wanted = [
        ("hub / nginx", HUB, "nginx", 0.25),
        ("hub / Caddy with access log", HUB, "Caddy", 1),
        ("hub / Caddy without access log", HUB, "Caddy, no access log", 1),
        ("hub / reference style", HUB, REFERENCE, 100),
        ("statistics on / off", HUB, HUB_OFF, 0.9),
    ]
    return [
        Target(name, medians[one].rate / medians[other].rate, least=least)
        for name, one, other, least in wanted
        if one in medians and other in medians
    ]


if __name__ == "__main__":
    raise SystemExit(main())
