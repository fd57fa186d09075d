"""Conversations: search a data set of interviews, read a transcript, import another data set."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from signalbox.auth.principal import Principal
from signalbox.console.errors import UnknownPageError
from signalbox.console.page import Page, Route, Upload
from signalbox.console.services import Services
from signalbox.console.visit import Visit
from signalbox.console.words import split_at
from signalbox.conversations import answers, service
from signalbox.conversations.errors import TextsUnreadyError
from signalbox.conversations.exports import BATCH, FORMATS, Writer
from signalbox.conversations.filters import LARGEST, NAMES, Filter, to_filter, to_number
from signalbox.conversations.schemas import summarize
from signalbox.conversations.searching import Searcher
from signalbox.conversations.uploads import Uploads
from signalbox.conversations.vectors import Ints
from signalbox.core.asgi import Receive, Scope, Send

PER_PAGE: Final = 20
FACETS: Final = 8
ROWS: Final = 30
IMPORT_STATES: Final = {
    "queued": ("idle", "waits"),
    "loading": ("active", "being imported"),
    "live": ("ok", "live"),
    "replaced": ("idle", "replaced"),
    "unchanged": ("idle", "was live already"),
    "failed": ("bad", "failed"),
}


async def show(visit: Visit) -> Response:
    """The search and what it finds."""
    return visit.render("conversations/index.html", **await _found(visit))


async def show_thread(visit: Visit) -> Response:
    """A transcript as a whole; the words that were searched for are marked."""
    runtime = visit.services.conversations
    number = to_number({"transcript": visit.path["number"]}, "transcript", least=-LARGEST, most=LARGEST)
    searcher = await runtime.searcher()
    thread = await runtime.context.db.read(answers.thread, searcher, number or 0)
    words = to_filter({"q": visit.query.get("q", "")}).words or ()
    return visit.render("conversations/thread.html", thread=thread, words=words, split_at=split_at)


async def show_imports(visit: Visit) -> Response:
    """All imports; htmx gets the table alone."""
    page = await visit.services.context.db.read(service.list_imports, cursor=visit.query.get("cursor"), limit=ROWS)
    template = "conversations/_imports.html" if visit.is_fragment else "conversations/imports.html"
    return visit.render(template, imports=page.items, next_cursor=page.next_cursor, states=IMPORT_STATES)


async def show_import(visit: Visit) -> Response:
    """One import with its report; htmx gets what changes."""
    found = await visit.services.context.db.read(service.show_import, visit.number("import"))
    totals = None if found.report is None else summarize(found.report)
    template = "conversations/_import.html" if visit.is_fragment else "conversations/import.html"
    return visit.render(template, found=found, totals=totals, states=IMPORT_STATES)


async def export(visit: Visit) -> Response:
    """All that is found, as a file."""
    form = visit.path["form"]
    if form not in FORMATS:
        msg = f"conversations are exported as {', '.join(FORMATS)}; not as {form[:40]!r}"
        raise UnknownPageError(msg)
    make, media = FORMATS[form]
    runtime = visit.services.conversations
    searcher, writer = await runtime.searcher(), make()
    found = await runtime.context.db.read(answers.search, searcher, _filter(visit.query))
    headers = {"Content-Disposition": f'attachment; filename="conversations.{form}"'}
    body = _pieces(visit.services, searcher, found, writer)
    return StreamingResponse(body, media_type=media.decode(), headers=headers)


async def take(services: Services, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
    """Take a data set in as a zip file."""
    uploads = Uploads(services.context, services.conversations.settings)
    await uploads.take(scope, receive, send, principal)


async def _found(visit: Visit) -> dict[str, Any]:
    runtime, query = visit.services.conversations, visit.query
    number = to_number(query, "page", least=1, most=10**6) or 1
    wanted = _filter(query)
    searcher = await runtime.searcher()
    shown = {"words": wanted.words or (), "split_at": split_at, "version": searcher.version, "forms": tuple(FORMATS)}
    try:
        found = await runtime.context.db.read(
            answers.with_facets, searcher, wanted, number=number, size=PER_PAGE, facets=FACETS
        )
    except TextsUnreadyError as error:
        return {**shown, "found": None, "unready": str(error), "number": number, "pages": 1}
    pages = max(1, -(-found.page.total // PER_PAGE))
    return {**shown, "found": found, "unready": "", "number": number, "pages": pages}


async def _pieces(services: Services, searcher: Searcher, found: Ints, writer: Writer) -> AsyncIterator[bytes]:
    for first in range(0, len(found), BATCH):
        yield await services.context.db.read(_piece, searcher, found[first : first + BATCH], writer)
    yield writer.end()


def _piece(tx: Connection, searcher: Searcher, places: Ints, writer: Writer) -> bytes:
    return writer.write(answers.read_items(tx, searcher, places.tolist()))


def _filter(query: Mapping[str, str]) -> Filter:
    """The search that stands in the address.

    Raises:
        InvalidQueryError: a value is not of its form.
    """
    return to_filter({name: value for name, value in query.items() if name in NAMES})


PAGE = Page(
    name="conversations",
    path="/conversations",
    title="Conversations",
    icon="conversations",
    routes=(
        Route("/conversations", show),
        Route("/conversations/export/{form}", export),
        Route("/conversations/imports", show_imports),
        Route("/conversations/imports/{number}", show_import),
        Route("/conversations/transcripts/{number}", show_thread),
    ),
    uploads=(Upload("/conversations/imports", take),),
)
