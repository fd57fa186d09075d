"""What pages may ask: the services and runtimes of the features, as ``app`` has built them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from signalbox.auth.runtime import AuthRuntime
from signalbox.console.kept import Kept
from signalbox.conversations.runtime import ConversationRuntime
from signalbox.core.errors import SignalboxError
from signalbox.criticality.runtime import CriticalityRuntime
from signalbox.gateway.runtime import GatewayRuntime
from signalbox.grid.settings import GridSettings
from signalbox.infra.context import Context
from signalbox.notifications.runtime import NotificationRuntime
from signalbox.ops.health import ReadinessProbe
from signalbox.tasks.runtime import TasksRuntime

StatusOf = Callable[[SignalboxError], tuple[int, str]]
"""HTTP status and title of an expected failure."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in force."""

    name: str
    """Dotted, as in ``auth.token_lifetime``."""
    value: str
    """As it is written in TOML; secrets are masked."""
    default: bool
    """Whether it is what it would be if nobody had set anything."""
    origin: str = "default"
    """Where it was set, such as ``environment: SIGNALBOX_PORT``; ``default`` where nobody has set it."""


@dataclass(frozen=True, slots=True)
class Services:
    """Built once in a process."""

    context: Context
    auth: AuthRuntime
    probe: ReadinessProbe
    gateway: GatewayRuntime | None
    """None in a process that serves no upstreams: pages then show what the database knows."""
    criticality: CriticalityRuntime
    notifications: NotificationRuntime
    tasks: TasksRuntime
    conversations: ConversationRuntime
    grid: GridSettings
    settings: Callable[[], Sequence[Setting]]
    """The settings in force, as they may be shown, by name."""
    kinds: Sequence[str]
    """Kinds of jobs that there are, by name."""
    alone: bool
    """Whether no other process serves: then what this one has in memory is all there is."""
    kept: Kept
    """For what many pages ask for at once."""
    version: str
    status_of: StatusOf
