"""Why the gateway itself answers a call."""

from signalbox.core.errors import (
    BadGatewayError,
    ConflictError,
    GatewayTimeoutError,
    InvalidError,
    NotFoundError,
    TooLargeError,
    TooManyError,
    UnavailableError,
)


class NoUpstreamError(NotFoundError):
    """Neither the hub nor an upstream claims the path."""

    code = "no_upstream"


class UnknownUpstreamError(NotFoundError):
    """No upstream has this name."""

    code = "unknown_upstream"


class NoCacheError(ConflictError):
    """Answers of the upstream are not cached."""

    code = "not_cached_upstream"


class BodyTooLargeError(TooLargeError):
    """The request body is larger than the upstream's ``max_body``."""

    code = "body_too_large"


class UnsupportedCodingError(InvalidError):
    """The request body comes in a transfer coding other than chunked."""

    code = "unsupported_transfer_coding"


class UpstreamFailedError(BadGatewayError):
    """The upstream refused the connection, broke it off or sent nonsense."""

    code = "upstream_failed"


class UpstreamTimeoutError(GatewayTimeoutError):
    """The upstream did not answer in time."""

    code = "upstream_timeout"


class InvalidStatusFilterError(InvalidError):
    """A status filter is neither a code nor a class."""

    code = "invalid_status_filter"


class UnknownCallError(NotFoundError):
    """No call of that id is kept."""

    code = "unknown_call"


class RangeTooLongError(InvalidError):
    """A summary would have too many points, or none, read too many sums, or lie outside of the calendar."""

    code = "range_too_long"


class GatewayLoopError(BadGatewayError):
    """The request has passed this hub too often: an upstream leads back to it."""

    code = "gateway_loop"


class UpstreamBusyError(UnavailableError):
    """As many calls to the upstream are under way as may be; the upstream itself may be well."""

    code = "upstream_busy"


class BudgetExhaustedError(TooManyError):
    """The budget of the upstream's host is used up, by the gateway or by other features."""

    code = "budget_exhausted"


class HostPausedError(UnavailableError):
    """The upstream's host has asked to be left alone for a while; nobody calls it until then."""

    code = "host_paused"
