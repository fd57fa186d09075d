"""A hub with one more feature: a durable door that keeps notes.

``python -m tests.support.durable_hub`` serves it with the settings of its environment, as ``signalbox serve`` would.
"""

from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from signalbox.app.features import Feature
from signalbox.app.hub import upgrade_databases
from signalbox.app.load import Sources, load
from signalbox.app.server import listen, run
from signalbox.app.settings import Settings
from signalbox.auth.doors import Accepted, Door
from signalbox.auth.principal import Principal
from signalbox.auth.security import Guard
from signalbox.core.errors import ConflictError
from signalbox.core.logging import configure_logging
from signalbox.infra.context import Context
from signalbox.infra.db.postgresql import postgresql_engine
from signalbox.infra.db.sqlite import sqlite_engine

PATH = "/api/test/notes"
SCOPE = "tasks:write"
MAX_BODY = 1_000
SECRET = "what nobody outside may read"

notes = sa.Table(
    "test_notes",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
)


class Place(msgspec.Struct):
    line: int


class Note(msgspec.Struct, forbid_unknown_fields=True):
    text: Annotated[str, msgspec.Meta(max_length=100)]
    place: Place | None = None


class Kept(msgspec.Struct):
    id: int


class TakenError(ConflictError):
    code = "taken"


def keep(tx: sa.Connection, note: Note, principal: Principal, now: int) -> Accepted:
    if note.text == "boom":
        raise RuntimeError(SECRET)
    if note.text == "taken":
        msg = "there is such a note"
        raise TakenError(msg)
    row = tx.execute(notes.insert().values(text=note.text, by=principal.actor).returning(notes.c.id)).scalar_one()
    return Accepted(201, Kept(row), f"{PATH}/{row}")


def make_notes(_context: Context, _settings: Settings, _guard: Guard) -> Feature:
    door = Door(
        method="POST",
        path=PATH,
        scope=SCOPE,
        body=Note,
        handle=keep,
        summary="Keep a note",
        answer=Kept,
        max_body=MAX_BODY,
        tags=("test",),
    )
    return Feature("notes", doors=[door])


def open_engine(settings: Settings) -> sa.Engine:
    """A plain engine on the main database; whoever asks for it disposes of it."""
    if settings.sqlite_path is not None:
        return sqlite_engine(settings.sqlite_path)
    assert settings.database_url is not None
    return postgresql_engine(settings.database_url.reveal())


def create_table(settings: Settings) -> None:
    engine = open_engine(settings)
    notes.create(engine, checkfirst=True)
    engine.dispose()


def drop_table(settings: Settings) -> None:
    """Leave a lent database as it was."""
    engine = open_engine(settings)
    notes.drop(engine)
    engine.dispose()


def read_notes(settings: Settings) -> list[Any]:
    """What is kept, by another connection than the hub's."""
    engine = open_engine(settings)
    with engine.connect() as tx:
        rows = list(tx.execute(sa.select(notes).order_by(notes.c.id)))
    engine.dispose()
    return rows


def main() -> None:
    settings = load({}, Sources.of_process())
    configure_logging(settings.log)
    upgrade_databases(settings)
    create_table(settings)
    listener = listen(settings.host, settings.port)
    address, port = listener.getsockname()[:2]
    print(f'{{"event": "serving", "address": "http://{address}:{port}"}}', flush=True)  # noqa: T201 - read by the test
    run(settings, listener, reload=lambda: settings, extra=[make_notes])


if __name__ == "__main__":
    main()
