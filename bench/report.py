"""Results: a table on the terminal, and the same as JSON and Markdown in ``results/``, with what they were taken on."""

import datetime as dt
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.table import Table

from support import BENCH, version

LEAST_ROUNDS = 3
"""Fewer rounds are a trial, of which nothing is kept."""

RESULTS = BENCH / "results"
LIBRARIES = ("uvicorn", "httptools", "uvloop", "fastapi", "httpx", "sqlalchemy", "websockets")


@dataclass(frozen=True)
class Target:
    """A ratio or figure that was promised: ``value`` has to reach ``least`` (or stay under ``most``)."""

    name: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        """Whether the promise is kept."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    @property
    def promise(self) -> str:
        """The bound in words."""
        return f"at least {self.least:,g}" if self.least is not None else f"at most {self.most:,.4g}"


@dataclass(frozen=True)
class Report:
    """Everything that is kept of a measurement; ``rows`` are texts under ``columns``, ``raw`` the single runs."""

    name: str
    title: str
    how: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    targets: Sequence[Target]
    settings: Mapping[str, str]
    raw: object
    plot: str = ""
    """Lines of text shown as they are, under the table."""


def publish(report: Report, *, keep: bool) -> int:
    """Print the report, keep it in ``results/`` when ``keep``; returns the exit status: 1 when a target is missed."""
    _print(report.title, report.columns, report.rows)
    if report.plot:
        print(report.plot)
    if report.targets:
        _print("Targets", ("figure", "value", "target", ""), _target_rows(report.targets))
    if keep:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{report.name}.json").write_text(json.dumps(_as_json(report), indent=2) + "\n")
        (RESULTS / f"{report.name}.md").write_text(_as_markdown(report))
    else:
        Console().print("A partial run: nothing is kept.")
    return 0 if all(target.met for target in report.targets) else 1


def machine() -> dict[str, str]:
    """Describe what the figures were taken on."""
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _proc("/proc/cpuinfo", "model name"),
        "cores": str(os.cpu_count()),
        "memory": _proc("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load average before": ", ".join(f"{load:.2f}" for load in os.getloadavg()),
        "file system": _file_system(),
        "wrk": version("wrk", "-v").split(" Copyright")[0],
        **{name: _library(name) for name in LIBRARIES},
    }


def _print(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)


def _target_rows(targets: Sequence[Target]) -> list[tuple[str, str, str, str]]:
    return [(each.name, f"{each.value:,.3g}", each.promise, "met" if each.met else "MISSED") for each in targets]


def _as_json(report: Report) -> dict[str, object]:
    return {
        "title": report.title,
        "how": report.how,
        "machine": dict(MACHINE),
        "settings": dict(report.settings),
        "table": [dict(zip(report.columns, row, strict=True)) for row in report.rows],
        "targets": [
            {"figure": each.name, "value": each.value, "target": each.promise, "met": each.met}
            for each in report.targets
        ],
        "runs": report.raw,
    }


def _as_markdown(report: Report) -> str:
    parts = [f"# {report.title}", report.how, _markdown_table(report.columns, report.rows)]
    if report.plot:
        parts.append(f"```\n{report.plot}\n```")
    if report.targets:
        parts.append(_markdown_table(("figure", "value", "target", ""), _target_rows(report.targets)))
    parts.append("\n".join(f"- {name}: {text}" for name, text in report.settings.items()))
    parts.append("Machine: " + "; ".join(f"{name} {text}" for name, text in MACHINE.items()) + ".")
    return "\n\n".join(parts) + "\n"


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _proc(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "unknown")


def _file_system() -> str:
    ran = subprocess.run(
        ["/usr/bin/stat", "-f", "-c", "%T", tempfile.gettempdir()], capture_output=True, text=True, check=False
    )
    return ran.stdout.strip() or "unknown"


def _library(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


MACHINE = machine()
"""Taken at the start, so that the load average is not our own."""
