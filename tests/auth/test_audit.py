from typing import Any

import pytest
from sqlalchemy import Connection

from signalbox.auth.audit import AuditFilter, list_entries, record
from signalbox.auth.models import AuditRow
from signalbox.core.errors import ConflictError
from signalbox.infra.db import Database


async def note(database: Database, number: int, *, actor: str = "user:anna", action: str = "thing.change") -> None:
    before, after = {"level": number, "nested": {"list": [1, None]}}, {"level": number + 1}
    target = f"thing:{number % 2}"
    await database.write(
        record, actor=actor, action=action, target=target, before=before, after=after, at=number, request_id="r"
    )


async def ids(database: Database, *, limit: int = 100, below: int | None = None, **wanted: Any) -> list[int]:
    chosen = AuditFilter(**wanted)
    return [entry.id for entry in await database.read(list_entries, wanted=chosen, limit=limit, below=below)]


async def test_an_entry_comes_back_as_it_was_written(database: Database) -> None:
    await note(database, 7)
    await database.write(record, actor="a", action="b", target="c", before=None, after=None, at=8, request_id=None)
    bare, full = await database.read(list_entries, wanted=AuditFilter(), limit=10)
    assert full == AuditRow(
        id=1,
        at=7,
        actor="user:anna",
        action="thing.change",
        target="thing:1",
        before={"level": 7, "nested": {"list": [1, None]}},
        after={"level": 8},
        request_id="r",
    )
    assert (bare.before, bare.after, bare.request_id) == (None, None, None)


async def test_entries_are_filtered_and_come_newest_first(database: Database) -> None:
    for number in range(1, 7):
        actor, action = ("user:anna", "app:shop")[number > 3], ("x.add", "x.drop")[number % 3 == 0]
        await note(database, number, actor=actor, action=action)
    assert await ids(database) == [6, 5, 4, 3, 2, 1]
    assert await ids(database, actor="app:shop") == [6, 5, 4]
    assert await ids(database, action="x.drop") == [6, 3]
    assert await ids(database, target="thing:1") == [5, 3, 1]
    assert await ids(database, since=2, until=5) == [4, 3, 2]
    assert await ids(database, actor="user:anna", target="thing:1", since=2) == [3]
    assert await ids(database, limit=2) == [6, 5]
    assert await ids(database, limit=2, below=5) == [4, 3]
    assert await ids(database, actor="nobody") == []


async def test_the_entry_shares_the_fate_of_the_change(database: Database) -> None:
    def change(tx: Connection) -> None:
        record(tx, actor="a", action="b", target="c", before=None, after=None, at=1, request_id=None)
        msg = "too late"
        raise ConflictError(msg)

    with pytest.raises(ConflictError):
        await database.write(change)
    assert await ids(database) == []
