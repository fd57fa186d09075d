"""The section ``[auth]``."""

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from signalbox.auth.scopes import MANAGER, check_scopes
from signalbox.core.secrets import Secret
from signalbox.core.times import DAY, parse_span

MIN_KEY_BYTES: Final = 32
"""A key for HS256 must be as long as the hash (RFC 7518, section 3.2)."""

LONGEST_LIFETIME: Final = 3650 * DAY


def _check_span(text: str) -> str:
    if parse_span(text) > LONGEST_LIFETIME:
        msg = "a token may live for at most 3650d"
        raise ValueError(msg)
    return text


def _check_scopes(names: list[str]) -> list[str]:
    if MANAGER in names:
        msg = "the role manager is for people who signed on; name the scopes that anybody may have"
        raise ValueError(msg)
    check_scopes(names)
    return names


def _check_key(key: Secret) -> Secret:
    length = len(key.reveal().encode())
    if length < MIN_KEY_BYTES:
        msg = f"the key must have at least {MIN_KEY_BYTES} bytes, this one has {length}"
        raise ValueError(msg)
    return key


class LoginAttempts(BaseModel):
    """How many sign-ins may fail within any minute before further ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_user: int = Field(default=5, ge=1, le=1_000)
    """Failures of one user from one address."""
    per_address: int = Field(default=20, ge=1, le=10_000)
    """Failures of all users from one address."""


class AuthSettings(BaseModel):
    """Who may do what, and for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    jwt_key: Annotated[Secret, AfterValidator(_check_key)] | None = None
    """Signs people's tokens: at least 32 bytes, as itself, ``env:NAME`` or ``file:/path``. Without one, a key is
    made once and kept in the database."""
    token_lifetime: Annotated[str, AfterValidator(_check_span)] = "12h"  # noqa: S105 - a span
    """How long a person stays signed in: a whole number and s, m, h or d."""
    anonymous_scopes: Annotated[list[str], AfterValidator(_check_scopes)] = Field(default_factory=lambda: ["gateway"])
    """What anybody may do without signing on."""
    login_attempts: LoginAttempts = LoginAttempts()
    max_remembered: int = Field(default=50_000, ge=100, le=1_000_000)
    """Credentials that a process remembers, some 500 bytes each; of more the database is asked each time."""

    @property
    def token_lifetime_micros(self) -> int:
        """``token_lifetime`` in microseconds."""
        return parse_span(self.token_lifetime)
