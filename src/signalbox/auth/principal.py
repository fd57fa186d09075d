"""Who is asking."""

from dataclasses import dataclass
from typing import Literal

from signalbox.auth.scopes import MANAGER, USER, Role

Kind = Literal["anonymous", "app", "user"]


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller and what it may do; ``app`` is None unless an app token was used."""

    kind: Kind
    name: str
    app: str | None
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        """How the audit trail names the caller, such as ``user:anna``."""
        return f"{self.kind}:{self.name}"

    @property
    def role(self) -> Role | None:
        """The stronger of the role scopes held, if any."""
        if MANAGER in self.scopes:
            return "manager"
        return "user" if USER in self.scopes else None
