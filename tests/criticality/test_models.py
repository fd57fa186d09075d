"""The tables are what the migrations make, on each database."""

from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from signalbox.criticality.models import StoredSignal, signal, to_signal
from signalbox.infra.db import Database
from signalbox.infra.db.tables import main
from tests.support.databases import Place


def test_the_schema_is_what_the_models_say(place: Place) -> None:
    def mine(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
        return kind != "table" or ((name or "").startswith("criticality_") and name in main.tables)

    engine = place.engine()
    options = {"include_object": mine, "compare_type": True}
    with engine.connect() as tx:
        assert compare_metadata(MigrationContext.configure(tx, opts=options), main) == []
    engine.dispose()


async def test_a_signal_without_a_level_has_no_current(database: Database) -> None:
    def make(tx: sa.Connection) -> StoredSignal:
        tx.execute(sa.insert(signal).values(name="s", last_revision=0, revision=0))
        return to_signal(tx.execute(sa.select(signal)).one())

    assert await database.write(make) == StoredSignal("s", 0, None, None, None)
