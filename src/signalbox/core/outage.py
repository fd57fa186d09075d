"""An outage in the log: one line when it begins and one when it is over, whatever the number of attempts between."""

import logging


class OutageLog:
    """Tells of one thing that may fail for a while, such as writing to a database that is away."""

    def __init__(self, log: logging.Logger, began: str, ended: str) -> None:
        self.is_failing = False
        """Whether the last attempt failed."""
        self._log, self._began, self._ended = log, began, ended

    def failed(self, reason: object, **extra: object) -> None:
        """Note an attempt that failed; ``extra`` goes to the log with the first line of the reason."""
        if not self.is_failing:
            self._log.warning(self._began, extra={"reason": str(reason).strip().partition("\n")[0], **extra})
        self.is_failing = True

    def worked(self, **extra: object) -> None:
        """Note an attempt that went well."""
        if self.is_failing:
            self._log.info(self._ended, extra=extra)
        self.is_failing = False
