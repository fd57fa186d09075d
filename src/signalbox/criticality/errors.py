"""Expected failures of criticality."""

from signalbox.core.errors import Fault, ForbiddenError, InvalidError, NotFoundError, TooManyError, UnprocessableError


class WrongLevelError(UnprocessableError):
    """The level lies outside the scale."""

    code = "wrong_level"

    def __init__(self, level: int, *, lowest: int, highest: int) -> None:
        super().__init__([Fault("level", f"a level is a whole number from {lowest} to {highest}", str(level))])


class WrongTimeError(UnprocessableError):
    """The producer's time lies too far in the future, or before 1970."""

    code = "wrong_time"

    def __init__(self, message: str, *, field: str = "changed_at") -> None:
        super().__init__([Fault(field, message)])


class WrongRevisionError(UnprocessableError):
    """An acknowledged revision was never given, or ``since`` is no revision."""

    code = "wrong_revision"

    def __init__(self, message: str, *, field: str = "revision") -> None:
        super().__init__([Fault(field, message)])


class InvalidQueryError(UnprocessableError):
    """A parameter of the query is not of its form."""

    code = "invalid_query"

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__([Fault(field, message)])


class InvalidSignalError(InvalidError):
    """What is asked for cannot be the name of a signal."""

    code = "invalid_signal"


class TooManySignalsError(TooManyError):
    """As many signals as are allowed are there already."""

    code = "too_many_signals"


class UnknownConsumerError(NotFoundError):
    """No such app was registered for the signal, or ever asked for it."""

    code = "unknown_consumer"


class NotYourConsumerError(ForbiddenError):
    """An app may register itself; what is another's is for a manager."""

    code = "not_your_consumer"
