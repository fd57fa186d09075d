"""Files of readings and components: the person is told how far an import is, and what became of its rows."""

import asyncio
import csv
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Final, TextIO

from signalbox.auth.principal import Principal
from signalbox.console.formats import number
from signalbox.console.page import Upload
from signalbox.console.services import Services
from signalbox.console.telling import Tell, Told, read_body, telling
from signalbox.core.asgi import Receive, Scope, Send
from signalbox.grid.arrow import PARQUET
from signalbox.grid.batch_upload import BatchUpload, Results
from signalbox.grid.bulk import Outcome, import_file
from signalbox.grid.component_files import import_all, parse_rows
from signalbox.grid.errors import BadFileError
from signalbox.grid.reading_files import count_rows
from signalbox.grid.schemas import BatchResult
from signalbox.infra.db import Database

REASONS: Final = 3
"""Reasons of rejection that are told."""
MOST_BYTES: Final = 4 * 1024**3
"""Of a file of readings, which is kept on disk until it is in."""
MOST_COMPONENT_BYTES: Final = 16 * 1024**2
"""Of a file of components, which is kept in memory."""
STEP: Final = 2_000
"""Components after which it is told how far the import is."""
CSV: Final = "text/csv"

_NAMES: Final = {CSV: "readings.csv", PARQUET: "readings.parquet"}
"""Files that are taken once they are whole, by their type; any other is JSON, and is taken as it comes."""


class CountedResults(Results):
    """Counts why rows are rejected, too."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: Counter[str] = Counter()

    def add(self, result: BatchResult) -> None:
        """See ``Results.add``."""
        super().add(result)
        self.reasons.update(row.reason for row in result.rows if row.status == "rejected" and row.reason)


async def take_readings(services: Services, scope: Scope, receive: Receive, send: Send, _principal: Principal) -> None:
    """Take a file of readings in."""
    name = _NAMES.get(_type_of(scope))
    async with telling(send) as tell:
        if name is None:
            await tell(await _take_json(services, receive))
            return
        with tempfile.TemporaryDirectory(prefix="signalbox-import-") as folder:
            path = Path(folder) / name
            with path.open("wb") as file:
                async for piece in read_body(receive, most=MOST_BYTES):
                    await asyncio.to_thread(file.write, piece)
            await tell(await _take_file(services.context.db, path, tell))


async def take_components(services: Services, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
    """Take a file of components in."""
    async with telling(send) as tell:
        content = b"".join([piece async for piece in read_body(receive, most=MOST_COMPONENT_BYTES)])
        rows = await asyncio.to_thread(parse_rows, content, is_csv=_type_of(scope) == CSV)
        states: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        hand = {"by": principal.actor, "request_id": scope["state"]["request_id"]}
        for first in range(0, len(rows), STEP):
            results = await import_all(services.context, rows[first : first + STEP], **hand)
            states.update(each.status for each in results)
            reasons.update(each.reason for each in results if each.reason is not None)
            await tell(_so_far(states.total(), len(rows)))
        taken = f"{number(states['created'])} components are added, {number(states['updated'])} are changed"
        await tell(_at_last(f"{taken}, {number(states['unchanged'])} were so already", reasons))


async def _take_json(services: Services, receive: Receive) -> Told:
    with closing(CountedResults()) as results:
        await BatchUpload(services.context).take_in_steps(receive, results)
        return _at_last(_taken(results.inserted, results.duplicates), results.reasons)


async def _take_file(db: Database, path: Path, tell: Tell) -> Told:
    """Raises BadFileError, in words that do not name the copy that was made of the file."""
    loop, steps = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    with (path.parent / "rejects.csv").open("w+", encoding="utf-8", newline="") as rejects:
        try:
            whole = await asyncio.to_thread(count_rows, path)
            outcome = await import_file(
                db, path, rejects=rejects, told=lambda so_far: steps.add(loop.create_task(tell(_step(so_far, whole))))
            )
        except BadFileError as error:
            raise BadFileError(str(error).replace(str(path), "the file")) from error
        finally:
            await asyncio.gather(*steps)
        reasons = await asyncio.to_thread(_count_reasons, rejects)
    return _at_last(_taken(outcome.inserted, outcome.duplicates), reasons)


def _step(outcome: Outcome, whole: int | None) -> Told:
    return _so_far(outcome.rows, whole)


def _so_far(rows: int, whole: int | None) -> Told:
    if not whole:
        return Told(f"{number(rows)} rows so far")
    return Told(f"{number(rows)} of {number(whole)} rows", share=rows / whole)


def _taken(inserted: int, duplicates: int) -> str:
    return f"{number(inserted)} readings are taken, {number(duplicates)} were there already"


def _at_last(taken: str, reasons: Counter[str]) -> Told:
    """What became of a file; ``reasons``: of its rejected rows."""
    if not reasons:
        return Told(f"{taken}.")
    why = "; ".join(f"{reason} ({number(count)})" for reason, count in reasons.most_common(REASONS))
    return Told(f"{taken}, {number(reasons.total())} are rejected: {why}", kind="warning")


def _count_reasons(rejects: TextIO) -> Counter[str]:
    """From lines of file, row and reason."""
    rejects.seek(0)
    return Counter(reason for _, _, reason in csv.reader(rejects))


def _type_of(scope: Scope) -> str:
    given = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
    return str(given.partition(";")[0].strip().lower())


UPLOADS: Final = (
    Upload("/grid/measurements", take_readings),
    Upload("/grid/components/import", take_components),
)
