"""Who waits in this process for reports to end. They are told so by whichever process made them."""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from signalbox.core.waiters import Waiters
from signalbox.infra.context import Context
from signalbox.infra.events import StoredEvent, Subscriber

CHANNEL: Final = "reports"


class ReportFeed:
    """Hears of reports that have ended, in whatever process; who waits for one asks the database nothing meanwhile."""

    def __init__(self, context: Context) -> None:
        self.waiters: Waiters[int, str] = Waiters(context.drain)
        """Who waits for a report, by its id."""
        self._broadcast = context.broadcast
        self._forget: Callable[[], None] | None = None

    async def open(self) -> None:
        """Begin to hear."""
        self._forget = self._broadcast.subscribe(CHANNEL, self._hear)

    async def close(self) -> None:
        """Hear no more."""
        if self._forget is not None:
            self._forget()

    def subscriber(self) -> Subscriber:
        """Who tells all processes of reports that have ended."""
        return Subscriber("grid.report_waiters", ["report.completed", "report.failed"], self._tell)

    def _tell(self, tx: Connection, event: StoredEvent, _now: int) -> None:
        self._broadcast.publish(tx, CHANNEL, str(event.data["report"]))

    def _hear(self, message: str | None) -> None:
        if message is None:  # some may have been missed: everybody is to look
            self.waiters.wake_all(lambda _: CHANNEL)
        else:
            self.waiters.wake(int(message), CHANNEL)
