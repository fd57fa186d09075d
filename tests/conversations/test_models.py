from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from signalbox.conversations.models import imports, item_id
from signalbox.infra.db.tables import main
from tests.support.databases import Place


def test_items_of_an_import_are_a_range() -> None:
    assert item_id(2, 0) - item_id(1, 2**32 - 1) == 1
    assert item_id(2**31 - 1, 2**32 - 1) < 2**63


def test_the_tables_are_what_the_models_say(place: Place) -> None:
    def known(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
        return kind != "table" or (str(name).startswith("conversation_") and name in main.tables)

    assert imports.name in main.tables
    engine = place.engine()
    options = {"version_table": "alembic_version_main", "include_object": known, "compare_type": True}
    with engine.connect() as tx:
        assert compare_metadata(MigrationContext.configure(tx, opts=options), main) == []
    engine.dispose()
