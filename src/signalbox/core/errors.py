"""Families of expected failures.

A feature raises a small subclass with a stable ``code``. ``app/errors.py`` alone knows which HTTP status a
family has, and ``app/cli.py`` which exit code, so services stay free of both.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class SignalboxError(Exception):
    """A failure that a caller can expect. ``str(error)`` is a sentence meant for the caller."""

    code = "error"
    """Stable, machine-readable name, sent as ``code`` in problem details."""

    headers: Sequence[tuple[bytes, bytes]] = ()
    """Headers of the answer that belong to this error, in lower case."""


class InvalidError(SignalboxError, ValueError):
    """The input can be read but not accepted; a ValueError too, so that Pydantic reports it with its field."""

    code = "invalid"


class UnauthenticatedError(SignalboxError):
    """Nobody known is asking: no credential, or one that does not hold."""

    code = "unauthenticated"


class ForbiddenError(SignalboxError):
    """The caller is known and may not do this."""

    code = "forbidden"


class NotFoundError(SignalboxError):
    """The thing asked for does not exist."""

    code = "not_found"


class ConflictError(SignalboxError):
    """The state of the thing forbids the change."""

    code = "conflict"


class TooLargeError(SignalboxError):
    """The body is larger than the limit."""

    code = "too_large"


class RetryableError(SignalboxError):
    """A failure that may pass; ``retry_after`` tells when to try again, in seconds."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyError(RetryableError):
    """A limit on how often this may be done has been reached."""

    code = "too_many"


class UnavailableError(RetryableError):
    """Something this service needs is away or overloaded."""

    code = "unavailable"


class BadGatewayError(SignalboxError):
    """A server whose answer was to be passed on refused, broke off or sent nonsense."""

    code = "bad_gateway"


class GatewayTimeoutError(SignalboxError):
    """A server whose answer was to be passed on did not answer in time."""

    code = "gateway_timeout"


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong setting or field: where it stands, what it holds (secrets masked), what is allowed there."""

    where: str
    message: str
    value: str | None = None

    def __str__(self) -> str:
        given = "" if self.value is None else f" (given: {self.value})"
        return f"{self.where}: {self.message}{given}"


class UnprocessableError(SignalboxError):
    """Fields are missing or wrong; ``faults`` names each."""

    code = "validation_error"

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.where}: {fault.message}" for fault in faults))
        self.faults = tuple(faults)


class SettingsError(SignalboxError):
    """One or more settings are wrong; ``faults`` names each."""

    code = "invalid_settings"

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)
