from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from signalbox.core.errors import InvalidError
from signalbox.infra.db.tables import main
from signalbox.infra.events import Event
from signalbox.infra.events.tables import event
from tests.support.databases import Place


@pytest.mark.parametrize("topic", ["gateway.upstream_down", "a.b", "grid.report.finished2", "a." + "b" * 98])
def test_topics(topic: str) -> None:
    assert Event(topic, {}).topic == topic


@pytest.mark.parametrize(
    "topic", ["", "gateway", "Gateway.up", "gateway.", ".up", "a..b", "a.*", "a.b\n", "a b.c", "a.1", "a." + "b" * 99]
)
def test_what_is_no_topic(topic: str) -> None:
    with pytest.raises(InvalidError, match="no topic"):
        Event(topic, {})


@pytest.mark.parametrize("key", ["", "a\0b", "a" * 301])
def test_what_is_no_dedup_key(key: str) -> None:
    with pytest.raises(InvalidError, match="dedup_key"):
        Event("a.b", {}, dedup_key=key)
    assert Event("a.b", {}, dedup_key="a" * 300).dedup_key == "a" * 300


def test_the_upgraded_schema_equals_the_table(place: Place) -> None:
    def known(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
        return kind != "table" or name == event.name

    engine = place.engine()
    options = {"version_table": "alembic_version_main", "include_object": known, "compare_type": True}
    with engine.connect() as tx:
        assert compare_metadata(MigrationContext.configure(tx, opts=options), main) == []
    engine.dispose()


def test_the_index_of_new_events_holds_only_those(place: Place) -> None:
    """Comparing schemas does not compare conditions of indexes."""
    engine = place.engine()
    (index,) = (each for each in inspect(engine).get_indexes("event") if each["name"] == "ix_event_new")
    assert "taken_at IS NULL" in str(list(map(str, index["dialect_options"].values())))
    engine.dispose()
