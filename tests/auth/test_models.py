from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError

from signalbox.auth.models import auth_revision
from signalbox.infra.db.migrate import current
from signalbox.infra.db.tables import main
from tests.support.databases import Place


@pytest.fixture
def engine(place: Place) -> Any:
    made = place.engine()
    yield made
    made.dispose()


def test_the_upgraded_schema_equals_the_tables(engine: Engine) -> None:
    def known(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
        return kind != "table" or name in main.tables

    with engine.connect() as tx:
        options = {"version_table": "alembic_version_main", "include_object": known, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(tx, opts=options), main) == []


def test_the_revision_counter_is_one_row(engine: Engine) -> None:
    with engine.connect() as tx:
        assert current(tx, "main") is not None
        assert tx.execute(select(auth_revision.c.id, auth_revision.c.revision)).all() == [(1, 0)]
        with pytest.raises(IntegrityError):
            tx.execute(auth_revision.insert().values(id=2, revision=0))
