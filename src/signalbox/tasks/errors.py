"""What can go wrong with tasks."""

from signalbox.core.errors import ConflictError, Fault, NotFoundError, UnprocessableError


class TaskNotFoundError(NotFoundError):
    """There is no such task, or it was deleted."""

    code = "task_not_found"

    def __init__(self, number: int) -> None:
        super().__init__(f"Task with ID {number} not found")


class DuplicateTaskError(ConflictError):
    """A task with this id is there already."""

    code = "duplicate_task"

    def __init__(self, number: int) -> None:
        super().__init__(f"Task with ID {number} already exists")


class TaskEndedError(ConflictError):
    """The task is completed or has failed; only ``retry`` leads back."""

    code = "task_ended"


class TaskSubmittedError(ConflictError):
    """The provider has the task, or may have it: it cannot be taken back."""

    code = "task_submitted"


class TaskNotFailedError(ConflictError):
    """Only what has failed, or waits for its next attempt, can be tried again."""

    code = "task_not_failed"


class UnknownProviderError(UnprocessableError):
    """No provider has this name."""

    code = "unknown_provider"

    def __init__(self, name: str, known: list[str]) -> None:
        msg = f"there is no provider {name!r}; known are: {', '.join(sorted(known)) or 'none'}"
        super().__init__([Fault("provider", msg)])


class LeaseLostError(Exception):
    """Another process has the pump's job by now: this one stops."""
