"""Gateway: requests/s of the hub as a proxy beside nginx, Caddy and the reference style, one core each.

``python bench/gateway.py``; ``--rounds``, ``--seconds`` and ``--only`` shorten it.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from load import COLUMNS, CONNECTIONS, WARM_UP_SECONDS, Load, Run, disturbances, interleaved, ratio, row
from report import LEAST_ROUNDS, Report, Target, publish
from servers import ANSWER, caching_hub, caddy, hub, limited_hub, nginx, python_peer, upstream
from support import Candidate, folder, require

HUB = "Signalbox, statistics on"
HUB_OFF = "Signalbox, statistics off"
HUB_LIMITED = "Signalbox, three limits"
HUB_CACHING = "Signalbox, cache hits"
REFERENCE = "reference style"

PEERS = {"nginx", "caddy", "reference"}


def main() -> int:
    """Measure, print and keep; the exit status tells whether the targets were met."""
    options = _options()
    wanted = set(options.only or ()) or PEERS | {"hub"}
    require("nginx", "wrk", "taskset", *wanted & {"caddy"}, *(["signalbox"] if wanted - PEERS else []))
    with folder() as place, upstream(place) as there:
        candidates = _candidates(there.url, options.only)
        runs = interleaved(candidates, Load(options.seconds, options.rounds, answer=ANSWER.encode()))
    report = _report(candidates, runs, options)
    return publish(report, keep=not options.only and options.rounds >= LEAST_ROUNDS)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--only", nargs="+", choices=["nginx", "caddy", "hub", "limits", "cache", "reference"])
    return parser.parse_args()


def _candidates(target: str, only: Sequence[str] | None) -> list[Candidate]:
    makers: dict[str, Callable[[], list[Candidate]]] = {
        "nginx": lambda: [nginx(target)],
        "caddy": lambda: [caddy(target), caddy(target, access_log=False)],
        "hub": lambda: [hub(target, statistics=False), hub(target, statistics=True)],
        "limits": lambda: [limited_hub(target)],
        "cache": lambda: [caching_hub(target)],
        "reference": lambda: [_reference(target)],
    }
    return [candidate for name, make in makers.items() if not only or name in only for candidate in make()]


def _reference(target: str) -> Candidate:
    settings = "FastAPI, a new httpx.AsyncClient for each request, uvicorn, 1 process, no access log"
    return python_peer(REFERENCE, "reference_gateway", settings, {"UPSTREAM": target})


def _report(candidates: Sequence[Candidate], runs: Mapping[str, list[Run]], options: argparse.Namespace) -> Report:
    return Report(
        name="gateway",
        title="Gateway: requests/s through one core",
        how=f"wrk with 1 thread and {CONNECTIONS} connections for {options.seconds} s after {WARM_UP_SECONDS} s of "
        f"warm-up; medians of {options.rounds} interleaved rounds, every server freshly started; the server on one "
        "core, upstream (nginx, 300 bytes of JSON, keep-alive) and wrk on another. Every ratio is taken within each "
        "round, between runs that are minutes apart at most; the median of these is shown. " + disturbances(runs),
        columns=("proxy", *COLUMNS, "of nginx"),
        rows=[(name, *row(each), _of_nginx(runs, name)) for name, each in runs.items()],
        targets=_targets(runs),
        settings={candidate.name: candidate.settings for candidate in candidates},
        raw={name: [asdict(run) for run in each] for name, each in runs.items()},
    )


def _of_nginx(runs: Mapping[str, list[Run]], name: str) -> str:
    return f"{ratio(runs, name, 'nginx'):.4f}" if "nginx" in runs else "-"


def _targets(runs: Mapping[str, list[Run]]) -> list[Target]:
    wanted = [
        ("hub / nginx", HUB, "nginx", 0.30),
        ("hub / Caddy with access log", HUB, "Caddy", 1.3),
        ("hub / Caddy without access log", HUB, "Caddy, no access log", 1.3),
        ("hub / reference style", HUB, REFERENCE, 100),
        ("statistics on / off", HUB, HUB_OFF, 0.9),
        ("three limits / none", HUB_LIMITED, HUB, 0.85),
        ("cache hits / uncached", HUB_CACHING, HUB, 1.5),
    ]
    return [
        Target(name, ratio(runs, one, other), least=least)
        for name, one, other, least in wanted
        if one in runs and other in runs
    ]


if __name__ == "__main__":
    raise SystemExit(main())
