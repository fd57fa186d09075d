"""What can go wrong for a client."""


class ClientError(Exception):
    """The hub could not be asked, or said no."""


class UnreachableError(ClientError):
    """There was no answer, or one that says to come back; ``retry_after`` in seconds, where the hub said so."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RefusedError(ClientError):
    """The hub said no, and would say so again: ``status`` and the stable ``code`` of the failure."""

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code
