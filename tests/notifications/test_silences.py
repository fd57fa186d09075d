from datetime import datetime, timedelta, timezone

import pytest

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.core.times import HOUR, to_datetime
from signalbox.infra.db import Database
from signalbox.notifications import store
from signalbox.notifications.errors import InvalidSilenceError, SilenceNotFoundError
from signalbox.notifications.routing import Labels
from signalbox.notifications.schemas import SilenceIn
from signalbox.notifications.settings import MatcherSettings
from signalbox.notifications.silences import add_silence, delete_silences, end_silence, find_reason, list_silences
from tests.notifications.conftest import SECOND, START

SALES = MatcherSettings(topic=["sal*"], metadata={"region": "eu"})
IN_EU = Labels("sales", metadata={"region": "eu"})


def silence(matcher: MatcherSettings = SALES, *, hours: int = 1, starts: int | None = None) -> SilenceIn:
    ends_at = to_datetime(START + hours * HOUR)
    return SilenceIn(
        matcher=matcher, ends_at=ends_at, starts_at=None if starts is None else to_datetime(starts), reason="repairs"
    )


async def reason(database: Database, labels: Labels, now: int) -> str | None:
    return find_reason(await database.read(store.find_obstacles, now=now), labels)


async def test_a_silence_holds_from_its_beginning_to_its_end(database: Database) -> None:
    made = await database.write(add_silence, silence(starts=START + SECOND), author="user:ann", now=START)
    assert await reason(database, IN_EU, START) is None
    assert await reason(database, IN_EU, START + SECOND) == f"silence {made.id} by user:ann: repairs"
    assert await reason(database, IN_EU._replace(metadata={}), START + SECOND) is None
    assert await reason(database, IN_EU, START + HOUR) is None


async def test_a_silence_can_be_ended_once(database: Database) -> None:
    made = await database.write(add_silence, silence(), author="user:ann", now=START)
    ended = await database.write(end_silence, made.id, actor="user:bob", now=START + SECOND)
    assert ended.ends_at == to_datetime(START + SECOND)
    assert await reason(database, IN_EU, START + SECOND) is None
    for number in (made.id, 99):
        with pytest.raises(SilenceNotFoundError):
            await database.write(end_silence, number, actor="user:bob", now=START + SECOND)
    entries = await database.read(list_entries, wanted=AuditFilter(), limit=9)
    assert [(each.actor, each.action, each.target) for each in entries] == [
        ("user:bob", "silence.end", "silence:1"),
        ("user:ann", "silence.add", "silence:1"),
    ]


async def test_a_silence_of_everything_or_of_no_time_is_refused(database: Database) -> None:
    for wrong in (
        silence(MatcherSettings()),
        silence(hours=-1),
        silence(starts=START + 2 * HOUR),
        silence(hours=11 * 365 * 24),
        silence().model_copy(update={"ends_at": datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))}),
    ):
        with pytest.raises(InvalidSilenceError):
            await database.write(add_silence, wrong, author="user:ann", now=START)


async def test_a_silence_that_began_long_ago_begins_now(database: Database) -> None:
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))
    made = await database.write(
        add_silence, silence().model_copy(update={"starts_at": first}), author="user:ann", now=START
    )
    assert made.starts_at == to_datetime(START)


async def test_silences_are_listed_newest_first_and_swept(database: Database) -> None:
    for hours in (1, 2, 3):
        await database.write(add_silence, silence(hours=hours), author="user:ann", now=START)
    page = await database.read(list_silences, active=True, now=START + HOUR, limit=1)
    assert [each.id for each in page.items] == [3]
    page = await database.read(list_silences, active=True, now=START + HOUR, limit=1, cursor=page.next_cursor)
    assert ([each.id for each in page.items], page.next_cursor) == ([2], None)
    assert len((await database.read(list_silences, active=False, now=START + HOUR, limit=9)).items) == 3
    assert await database.write(delete_silences, older_than=START + 2 * HOUR, limit=9) == 1
