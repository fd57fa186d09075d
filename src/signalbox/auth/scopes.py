"""What a caller may be allowed to do."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Final, Literal, get_args

from signalbox.auth.errors import UnknownScopeError

Role = Literal["user", "manager"]

USER: Final = "user"
MANAGER: Final = "manager"
ROLES: Final[tuple[Role, ...]] = get_args(Role)

SCOPES: Final = MappingProxyType(
    {
        "gateway": "Call third-party APIs through the gateway",
        "statistics:read": "See statistics of calls",
        "tasks:read": "See tasks",
        "tasks:write": "Submit and cancel tasks",
        "assistance": "Ask for assistance",
        "notifications:read": "See messages, channels and silences",
        "criticality:read": "Ask for changed levels of criticality",
        "criticality:write": "Set levels of criticality",
        "grid:read": "See components, measurements and reports of the grid",
        "grid:write": "Change components and add measurements",
        "conversations:read": "Search conversations",
        "jobs:read": "See background jobs",
        "jobs:write": "Replay and cancel background jobs",
        USER: "Everything that reads",
        MANAGER: "Everything",
    }
)
"""Every scope and what it allows; ``user`` and ``manager`` are the roles of people and grant others."""


def grants(held: frozenset[str], needed: str) -> bool:
    """Whether somebody who holds the scopes ``held`` may do what ``needed`` allows."""
    return needed in held or MANAGER in held or (USER in held and needed.endswith(":read"))


def check_scopes(names: Iterable[str]) -> frozenset[str]:
    """The scopes of these names.

    Raises:
        UnknownScopeError: a name is no scope; the message lists those that are.
    """
    scopes = frozenset(names)
    if unknown := sorted(scopes - SCOPES.keys()):
        msg = f"there is no scope {', '.join(map(repr, unknown))}; the scopes are {', '.join(SCOPES)}"
        raise UnknownScopeError(msg)
    return scopes
