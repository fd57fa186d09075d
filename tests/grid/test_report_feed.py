"""Who waits for a report; over HTTP in ``routes/test_reports.py``."""

from signalbox.grid import reports
from signalbox.grid.report_feed import CHANNEL, ReportFeed
from signalbox.infra.context import Context
from signalbox.infra.events import StoredEvent
from tests.grid.test_intake import NOW
from tests.grid.test_reports import JANUARY


async def test_who_waits_hears_of_the_end_of_that_report_alone(context: Context) -> None:
    here, other_process = ReportFeed(context), ReportFeed(context)
    await context.broadcast.open()
    await here.open()
    number = (await context.db.write(reports.order, JANUARY, by="test", now=NOW)).id
    subscriber = other_process.subscriber()
    assert subscriber.wants("report.completed")
    assert subscriber.wants("report.failed")
    event = StoredEvent(1, "report.failed", "error", None, {"report": number}, NOW)
    with here.waiters.join(number) as waiter, here.waiters.join(number + 1) as other, here.waiters.join(7) as last:
        await context.db.write(subscriber.handle, event, NOW)
        assert await waiter.wait(60) == CHANNEL
        assert await other.wait(0) is None
        here._hear(None)
        assert await last.wait(60) == CHANNEL, "messages may have been missed"
    await here.close()
    await context.broadcast.close()
