"""Queries about components."""

import json
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from signalbox.grid import store
from signalbox.grid.store import ComponentFilter


def values(name: str, **more: Any) -> dict[str, Any]:
    fixed = {
        "component_type": "LINE",
        "substation": "North",
        "fields": json.dumps({}),
        "created_at": 0,
        "updated_at": 0,
    }
    return {**fixed, "name": name, **more}


def test_names_are_unique_in_a_substation(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        made = store.add_component(tx, values("A"))
        assert made is not None
        assert store.add_component(tx, values("A")) is None
        other = store.add_component(tx, values("A", substation="South"))
        assert other is not None
        assert store.find_by_name(tx, "North", "A") == store.find_component(tx, made.id, lock=True) == made
        with pytest.raises(IntegrityError):
            store.change_component(tx, other.id, {"substation": "North"})


def test_components_are_found_by_all_that_is_asked(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        for name in ("North_1", "north%2", "x"):
            store.add_component(tx, values(name))
        store.add_component(tx, values("S", component_type="SWITCH"))
        found = {
            word: [row.name for row in store.find_components(tx, ComponentFilter(name=word), limit=9)]
            for word in ("NORTH", "_", "%", "z")
        }
        assert found == {"NORTH": ["north%2", "North_1"], "_": ["North_1"], "%": ["north%2"], "z": []}
        assert [row.name for row in store.find_components(tx, ComponentFilter("SWITCH"), limit=9)] == ["S"]
        assert [row.id for row in store.find_components(tx, ComponentFilter(), before=3, limit=1)] == [2]
        assert [kind for _, kind, _ in store.read_kinds(tx)] == [*["LINE"] * 3, "SWITCH"]


def test_names_are_found_in_any_case_of_any_letters(engine: sa.Engine) -> None:
    names = ("Überland", "ÜBERLAND", "überland", "Uberland", "Ёлка", "ΟΔΟΣ", "Straße", "a*b?c[d]e^f\\.+(g)|$h{1}")
    with engine.connect() as tx:
        for name in names:
            store.add_component(tx, values(name))
        rows = [(word, ComponentFilter(name=word)) for word in ("Überland", "überLAND", "ёЛКА", "οδος", "STRAßE", "%")]
        found = {word: {row.name for row in store.find_components(tx, wanted, limit=9)} for word, wanted in rows}
        assert found == {
            "Überland": {"Überland", "ÜBERLAND", "überland"},
            "überLAND": {"Überland", "ÜBERLAND", "überland"},
            "ёЛКА": {"Ёлка"},
            "οδος": {"ΟΔΟΣ"},
            "STRAßE": {"Straße"},
            "%": set(),
        }
        for sign in (*"*?[]^\\.+()|${}", names[-1].upper()):
            assert [row.name for row in store.find_components(tx, ComponentFilter(name=sign), limit=9)] == [
                names[-1]
            ], sign


def test_ids_that_were_given_are_skipped_later(engine: sa.Engine) -> None:
    with engine.connect() as tx:
        store.add_component(tx, values("A", id=7))
        store.skip_ids(tx, [7])
        store.skip_ids(tx, [])
        made = store.add_component(tx, values("B"))
        assert made is not None
        assert made.id == 8
        store.delete_component(tx, 8)
        again = store.add_component(tx, values("C"))
        assert again is not None
        assert again.id == 9, "the id of what is deleted is not given again"
