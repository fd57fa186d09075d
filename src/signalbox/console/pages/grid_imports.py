"""Readings from a file, taken in while it comes; the person is told what became of its rows."""

from collections import Counter
from contextlib import closing
from typing import Final

import msgspec

from signalbox.auth.principal import Principal
from signalbox.console.formats import number
from signalbox.console.page import Upload
from signalbox.console.services import Services
from signalbox.core.asgi import Receive, Scope, Send, answer
from signalbox.grid.batch_upload import BatchUpload, Results
from signalbox.grid.schemas import BatchResult

REASONS: Final = 3
"""Reasons of rejection that are told."""


class CountedResults(Results):
    """Counts why rows are rejected, too."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: Counter[str] = Counter()

    def add(self, result: BatchResult) -> None:
        """See ``Results.add``."""
        super().add(result)
        self.reasons.update(row.reason for row in result.rows if row.status == "rejected" and row.reason)

    def __str__(self) -> str:
        """What the person is told."""
        told = f"{number(self.inserted)} readings are taken, {number(self.duplicates)} were there already"
        if not self.rejected:
            return f"{told}."
        reasons = "; ".join(f"{reason} ({number(count)})" for reason, count in self.reasons.most_common(REASONS))
        return f"{told}, {number(self.rejected)} are rejected: {reasons}"


async def take(services: Services, scope: Scope, receive: Receive, send: Send, _principal: Principal) -> None:
    """Take a file of JSON in, and say what became of it."""
    with closing(CountedResults()) as results:
        await BatchUpload(services.context).take_in_steps(receive, results)
        kind = "warning" if results.rejected else "ok"
        body = msgspec.json.encode({"message": str(results), "kind": kind})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await answer(scope, send, status=200, headers=headers, body=body)


UPLOAD = Upload("/grid/measurements", take)
