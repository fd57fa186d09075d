"""The tasks of the simulated provider: what it was given, how far each has come, and what was given twice."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

Status = Literal["Not Started", "In Progress", "Completed", "Error"]

MESSAGE: Final = "Invalid IP range: 192.168.1.256"
"""What tasks that end in Error say."""

MOST_TASKS: Final = 1_000_000


@dataclass(frozen=True)
class Pace:
    """How tasks go, in seconds: so long until work begins, so long until it ends; and the share that end in Error."""

    waiting: float = 0.2
    working: float = 1.0
    errors: float = 0.0
    spread: float = 0.3
    """Tasks take up to this share more or less."""


@dataclass(slots=True)
class Entry:
    """A task; its statuses follow from the time, unless one was set by hand."""

    id: str
    reference: str | None
    begins: float
    ends: float
    outcome: Status
    fixed: tuple[Status, str | None] | None = None

    def status(self, now: float) -> Status:
        """Where it stands."""
        if self.fixed is not None:
            return self.fixed[0]
        return "Not Started" if now < self.begins else "In Progress" if now < self.ends else self.outcome

    def encoded(self, now: float) -> bytes:
        """As it stands in answers."""
        status = self.status(now)
        text: dict[str, str | None] = {"id": self.id, "status": status}
        message = MESSAGE if self.fixed is None else self.fixed[1]
        if status == "Error" and message is not None:
            text["error_message"] = message
        return msgspec.json.encode(text)


class FullError(Exception):
    """The provider keeps no more tasks."""


class Book:
    """All tasks in the order of their arrival; times are seconds of one clock that the caller reads."""

    def __init__(self, pace: Pace, *, seed: int = 0, idempotent: bool = True, most: int = MOST_TASKS) -> None:
        self.pace, self.most = pace, most
        self.idempotent = idempotent
        """Whether a reference that is known brings the task that it belongs to, and not a second one."""
        self.submissions: Counter[str] = Counter()
        """Tasks that were begun, by their reference, or by the id they were given where they have none."""
        self.repeats = 0
        """Submissions that idempotency turned into the first one's answer."""
        self._dice = random.Random(seed)
        self._tasks: dict[str, Entry] = {}
        self._references: dict[str, Entry] = {}
        self._assigned = 0

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def doubles(self) -> dict[str, int]:
        """What was begun more than once, and how often."""
        return {name: count for name, count in self.submissions.items() if count > 1}

    def add(self, given: str | None, reference: str | None, now: float) -> Entry:
        """Begin a task with an id that was given, or a new one.

        Raises:
            FullError: there are as many as are kept.
        """
        known = self._references.get(reference) if reference is not None and self.idempotent else None
        if known is not None:
            self.repeats += 1
            return known
        if len(self._tasks) >= self.most:
            raise FullError
        entry = self._entry(given or self._assign(), reference, now)
        self.submissions[reference or entry.id] += 1
        self._tasks[entry.id] = entry
        if reference is not None:
            self._references[reference] = entry
        return entry

    def find(self, ids: Iterable[str]) -> list[Entry]:
        """Those of the ids that are known."""
        return [self._tasks[each] for each in ids if each in self._tasks]

    def find_reference(self, reference: str) -> Entry | None:
        """The task that was given with this reference."""
        return self._references.get(reference)

    def entries(self) -> Sequence[Entry]:
        """All tasks."""
        return list(self._tasks.values())

    def set(self, task: str, status: Status, message: str | None = None) -> None:
        """Say how a task stands from now on; one that nobody gave begins to exist, as if it had come by another way."""
        entry = self._tasks.get(task)
        if entry is None:
            entry = self._tasks[task] = self._entry(task, None, 0.0)
        entry.fixed = (status, message)

    def forget(self, ids: Iterable[str]) -> None:
        """Lose tasks, as a provider does that has its database restored."""
        for each in ids:
            entry = self._tasks.pop(each, None)
            if entry is not None and entry.reference is not None:
                self._references.pop(entry.reference, None)

    def _entry(self, task: str, reference: str | None, now: float) -> Entry:
        pace, dice = self.pace, self._dice
        begins = now + pace.waiting * dice.uniform(1 - pace.spread, 1 + pace.spread)
        ends = begins + pace.working * dice.uniform(1 - pace.spread, 1 + pace.spread)
        return Entry(task, reference, begins, ends, "Error" if dice.random() < pace.errors else "Completed")

    def _assign(self) -> str:
        while True:
            self._assigned += 1
            if str(self._assigned) not in self._tasks:
                return str(self._assigned)


def encode_entries(entries: Iterable[Entry], now: float) -> bytes:
    """An array of tasks."""
    return b"[" + b",".join([entry.encoded(now) for entry in entries]) + b"]"
