"""What the audit trail keeps of a change."""

import pytest
from sqlalchemy import Connection

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.grid import trail
from signalbox.grid.schemas import ComponentOut
from signalbox.infra.context import Context

LINE = ComponentOut.model_validate(
    {
        "id": 7,
        "name": "A",
        "substation": "Hill",
        "component_type": "LINE",
        "length_km": 2.5,
        "voltage_kv": 110,
        "created_at": "2026-01-31T10:00:00Z",
        "updated_at": "2026-01-31T10:00:00Z",
    }
)


def note(tx: Connection, before: ComponentOut | None, after: ComponentOut | None) -> None:
    trail.note(tx, "component.change", before, after, by="user:anna", now=1_000_000, request_id="r")


@pytest.mark.parametrize(("before", "after"), [(LINE, None), (None, LINE), (LINE, LINE)])
async def test_what_was_and_what_is_stand_beside_the_thing(
    context: Context, before: ComponentOut | None, after: ComponentOut | None
) -> None:
    await context.db.write(note, before, after)
    wanted = AuditFilter(target="component:7")
    (entry,) = await context.db.read(lambda tx: list_entries(tx, wanted=wanted, limit=5))
    assert (entry.actor, entry.action, entry.at, entry.request_id) == ("user:anna", "component.change", 1_000_000, "r")
    shown = [None if each is None else each.model_dump(mode="json") for each in (before, after)]
    assert [entry.before, entry.after] == shown


async def test_a_change_of_nothing_is_a_mistake(context: Context) -> None:
    with pytest.raises(ValueError, match="of nothing"):
        await context.db.write(note, None, None)
