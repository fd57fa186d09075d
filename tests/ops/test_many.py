import pytest
from pydantic import ValidationError
from sqlalchemy import Connection

from signalbox.core.errors import ConflictError
from signalbox.infra.db import Database
from signalbox.infra.events import Event, find_events, publish
from signalbox.ops.many import MOST, ManyIn, change_each


def tell(tx: Connection, number: int) -> None:
    publish(tx, Event("test.told", {"n": number}), now=1)
    if number == 2:
        msg = "not this one"
        raise ConflictError(msg)


async def test_what_fails_is_undone_and_the_others_stay(database: Database) -> None:
    said = await database.write(change_each, [3, 2, 1, 3], tell)
    assert [(each.id, each.done, each.code, each.detail) for each in said] == [
        (3, True, None, None),
        (2, False, "conflict", "not this one"),
        (1, True, None, None),
    ]
    told = await database.read(find_events, topic="test.told", limit=9)
    assert [each.data["n"] for each in told] == [3, 1]


def test_as_many_as_a_page_shows() -> None:
    assert len(ManyIn(action="retry", ids=list(range(1, MOST + 1))).ids) == MOST
    with pytest.raises(ValidationError):
        ManyIn(action="retry", ids=list(range(1, MOST + 2)))
