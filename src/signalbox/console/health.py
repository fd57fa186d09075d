"""How each part of the hub does, in one line and one word."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from signalbox.console.formats import number, seconds
from signalbox.core.times import MICROSECONDS
from signalbox.gateway.schemas import UpstreamOut
from signalbox.infra.jobs import Backlog
from signalbox.ops.health import Readiness

State = Literal["ok", "warning", "bad", "idle"]

MOST = 10_000
"""Waiting jobs are counted as far as this."""
LATE = 30.0
"""Seconds that a due job may wait before that is worth a word."""

_WORDS: Mapping[State, str] = {"ok": "fine", "warning": "look here", "bad": "failing", "idle": "not used"}

_FEATURES = (
    ("tasks", "Tasks", "/tasks"),
    ("notifications", "Notifications", "/notifications"),
    ("grid", "Grid", "/grid"),
    ("conversations", "Conversations", "/conversations"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """One line."""

    name: str
    state: State
    text: str
    path: str | None = None
    """The page that tells more."""

    @property
    def word(self) -> str:
        """The state as people read it."""
        return _WORDS[self.state]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What all kinds of jobs add up to."""

    waiting: int
    dead: int
    late: float
    """Seconds that the first due job waits already."""

    @property
    def waiting_text(self) -> str:
        """The number; as many as are counted are written as more."""
        return f"{number(MOST)}+" if self.waiting >= MOST else number(self.waiting)

    @property
    def dead_text(self) -> str:
        """The number."""
        return f"{number(MOST)}+" if self.dead >= MOST else number(self.dead)

    @property
    def note(self) -> str:
        """Whether they are late."""
        return f"the first is {seconds(self.late)} late" if self.late >= 1 else "none is late"

    @property
    def state(self) -> State | Literal[""]:
        """Whether that is worth a look."""
        return "warning" if self.late >= LATE else ""


def add_up(backlog: Mapping[str, Backlog], *, now: int, prefix: str = "") -> Waiting:
    """All kinds together, or those whose names begin with ``prefix``; ``now`` in microseconds UTC."""
    kinds = [each for kind, each in backlog.items() if kind.startswith(prefix)]
    due = min((each.first_due for each in kinds if each.first_due is not None), default=now)
    late = max(0, now - due) / MICROSECONDS
    return Waiting(sum(each.waiting for each in kinds), sum(each.dead for each in kinds), late)


def database_part(readiness: Readiness) -> Part:
    """Whether the database answers."""
    said = readiness.checks.get("database", readiness.status)
    return Part("Database", "ok" if said == "ok" else "bad", "answers" if said == "ok" else said)


def gateway_part(upstreams: Iterable[UpstreamOut] | None) -> Part:
    """Whether all upstreams are let through; None: this process serves none."""
    if upstreams is None:
        return Part("Gateway", "idle", "served by other processes", "/gateway")
    known = list(upstreams)
    if not known:
        return Part("Gateway", "idle", "no upstream is set up", "/gateway")
    shut = [each.name for each in known if each.breaker.state == "open"]
    ajar = [each.name for each in known if each.breaker.state == "half_open"]
    if shut:
        return Part("Gateway", "bad", f"calls are held back from {', '.join(shut)}", "/gateway")
    if ajar:
        return Part("Gateway", "warning", f"being tried again: {', '.join(ajar)}", "/gateway")
    return Part("Gateway", "ok", f"{number(len(known))} {'upstream' if len(known) == 1 else 'upstreams'}", "/gateway")


def job_part(waiting: Waiting) -> Part:
    """Whether work is done when it is due."""
    if waiting.late >= LATE:
        return Part("Jobs", "bad", f"due work waits for {seconds(waiting.late)}; does a worker run?", "/jobs")
    if waiting.dead:
        return Part("Jobs", "warning", f"{waiting.dead_text} failed for good", "/jobs")
    return Part("Jobs", "ok", f"{waiting.waiting_text} waiting", "/jobs")


def feature_parts(backlog: Mapping[str, Backlog], *, now: int) -> list[Part]:
    """How the background work of each feature does."""
    parts = []
    for prefix, name, path in _FEATURES:
        waiting = add_up(backlog, now=now, prefix=f"{prefix}.")
        state: State = "warning" if waiting.dead or waiting.late >= LATE else "ok"
        text = f"{waiting.dead_text} failed for good" if waiting.dead else f"{waiting.waiting_text} waiting"
        parts.append(Part(name, state, text, path))
    return parts


def criticality_part(*, fresh: bool, silent: int) -> Part:
    """Whether levels are known, and every consumer asks."""
    if not fresh:
        return Part("Criticality", "bad", "levels cannot be read at the moment", "/criticality")
    if silent:
        return Part(
            "Criticality",
            "warning",
            f"{silent} {'consumer is' if silent == 1 else 'consumers are'} silent",
            "/criticality",
        )
    return Part("Criticality", "ok", "every consumer asks", "/criticality")
