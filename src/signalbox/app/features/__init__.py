"""What a feature brings to a process: one file here for each, which builds it from the feature's own package."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import APIRouter

from signalbox.app.settings import Settings
from signalbox.auth.doors import Door, Poll
from signalbox.auth.security import Guard
from signalbox.infra.context import Context
from signalbox.infra.events import Subscriber
from signalbox.infra.jobs import Kind, Schedule
from signalbox.ops.sweeps import Sweep


class Runtime(Protocol):
    """What a feature keeps in memory, with a beginning and an end, in the event loop of the process."""

    async def open(self) -> None:
        """Begin; nothing is served yet, and no job runs. The database may be away: then it goes on trying by itself."""
        ...

    async def close(self) -> None:
        """End; nothing is served any more, and no job runs. Called after ``open`` has begun, even if it failed."""
        ...


@dataclass(frozen=True, slots=True)
class Feature:
    """All that goes by one name. Roles choose from it: ``api`` serves, ``worker`` runs jobs, ``all`` does both."""

    name: str
    routers: Sequence[APIRouter] = ()
    """Routes; ``api``."""
    doors: Sequence[Door[Any]] = ()
    """Durable intake; ``api``."""
    polls: Sequence[Poll] = ()
    """Endpoints that answer from memory; ``api``."""
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    """Jobs, by the name of their kind; ``worker``."""
    schedules: Sequence[Schedule] = ()
    """Jobs that are enqueued again and again; ``worker``."""
    subscribers: Sequence[Subscriber] = ()
    """Who hears of which events; ``worker``."""
    sweeps: Sequence[Sweep] = ()
    """Upkeep of tables; ``worker``."""
    runtime: Runtime | None = None
    """What it keeps in memory; ``api`` and ``worker``."""
    reload: Callable[[Settings], None] | None = None
    """Takes new settings while the process serves; what it does not take needs a restart."""


FeatureFactory = Callable[[Context, Settings, Guard], Feature]
"""``build`` of a feature's file. It is called once in a process of the roles ``all``, ``api`` and ``worker``."""
