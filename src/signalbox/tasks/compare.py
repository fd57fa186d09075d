"""What the answers of polls change of the tasks under way: pure rules.

Nearly all of what a poll changes is plain: from one of our statuses to another, with nothing else to say. Such moves are
only counted up by what they lead from and to; 100,000 objects would take longer than the database does.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from signalbox.tasks.providers import Sighting
from signalbox.tasks.schemas import TERMINAL, Flag, Phase, Status, to_text
from signalbox.tasks.verdicts import translate

_PLAIN: Final[Mapping[str, Status]] = {
    "Not Started": "Not Started",
    "In Progress": "In Progress",
    "Completed": "Completed",
}
"""Statuses that say all; an Error has a message, and people are told of it."""


class Watched(NamedTuple):
    """A task under way, as far as a poll concerns it."""

    id: int
    app: str
    key: str
    status: Status
    raw_status: str | None
    flag: Flag | None
    missed: int
    since: int
    """When it was sent, or handed over where it is tracked only: earlier answers cannot have it."""


class Difference(NamedTuple):
    """What an answer changes of a task, where that is no plain move."""

    of: Watched
    status: Status
    phase: Phase
    error: str | None
    raw_status: str | None
    flag: Flag | None
    missed: int
    is_visible: bool
    """Whether clients can see it: more than a number of polls that missed it."""


Moves = dict[tuple[Status, Status], list[int]]
"""Ids of tasks by the status that they leave and the one that they come to."""


class Findings(NamedTuple):
    """What an answer changes of some tasks."""

    moves: Moves
    differences: list[Difference]
    met: set[str]
    """Keys of the answer that belong to these tasks, changed or not."""


def merge(sightings: Sequence[Sighting]) -> dict[str, Sighting]:
    """One sighting for each key: of several the first that is terminal, else the last."""
    merged = {each.key: each for each in sightings}
    if len(merged) < len(sightings):
        merged.clear()
        for each in sightings:
            before = merged.get(each.key)
            if before is None or before.status not in TERMINAL:
                merged[each.key] = each
    return merged


def sort_out(
    tasks: Iterable[Sequence[Any]], seen: Mapping[str, Sighting], *, missing_after: int, began: int
) -> Findings:
    """What an answer changes of ``tasks``, which are rows in the order of ``Watched``.

    Those that came under way after ``began`` are not missed: the answer may be older than they are.
    """
    found = Findings({}, [], set())
    moves, differences, met = found
    for row in tasks:
        number, _, key, status, raw_status, flag, missed, since = row
        sighting = seen.get(key)
        if sighting is not None:
            met.add(key)
            if raw_status is None and flag is None and not missed and (now := _PLAIN.get(sighting.status)):
                if now != status:
                    moves.setdefault((status, now), []).append(number)
                continue
        elif since >= began:
            continue
        difference = compare(Watched._make(row), sighting, missing_after=missing_after)
        if difference is not None:
            differences.append(difference)
    return found


def compare(of: Watched, seen: Sighting | None, *, missing_after: int) -> Difference | None:
    """What a sighting changes of a task, or that it was missed; None where it changes nothing."""
    if seen is None:
        return _missed(of, missing_after)
    status, raw = translate(seen.status, otherwise=of.status)
    flag: Flag | None = None if raw is None else "unknown_status"
    is_visible = status != of.status or raw != of.raw_status or flag != of.flag
    if not is_visible and not of.missed:
        return None
    error = to_text(seen.message or "failed at the provider") if status == "Error" else None
    phase: Phase = "done" if status in TERMINAL else "submitted"
    return Difference(of, status, phase, error, raw, flag, 0, is_visible)


def _missed(of: Watched, missing_after: int) -> Difference | None:
    if of.missed >= missing_after:
        return None
    missed = of.missed + 1
    flag: Flag | None = "missing" if missed >= missing_after else of.flag
    return Difference(of, of.status, "submitted", None, of.raw_status, flag, missed, flag != of.flag)
