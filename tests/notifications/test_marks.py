from signalbox.core.times import MINUTE
from signalbox.infra.db import Database
from signalbox.notifications import marks
from tests.notifications.conftest import START


async def test_one_of_several_takes_a_mark(database: Database) -> None:
    async def take(until: int, now: int, id_: str) -> str | None:
        return await database.write(marks.take_mark, "s", "k", until=until, message_id=id_, now=now)

    assert await take(START + 5, START, "one") is None
    assert await take(START + 9, START + 4, "two") == "one"
    assert await take(START + 9, START + 5, "three") is None
    assert await take(START + 9, START + 8, "four") == "three"


async def test_marks_are_swept_when_they_have_ended(database: Database) -> None:
    for number in range(3):
        row = {"until": START + number, "message_id": "m"}
        await database.write(marks.raise_mark, "scope", str(number), **row)  # type: ignore[arg-type]
    assert await database.write(marks.delete_marks, older_than=START + 2, limit=1) == 1
    assert await database.write(marks.delete_marks, older_than=START + 2, limit=9) == 1
    assert await database.read(marks.find_mark, "scope", "2", now=START) == "m"


async def test_a_group_has_one_next_moment(database: Database) -> None:
    async def moment(now: int) -> int:
        found = await database.write(
            marks.group_moment, "g", "k", wait=MINUTE, interval=5 * MINUTE, message_id="m", now=START + now
        )
        return found - START

    assert await moment(0) == MINUTE
    assert await moment(MINUTE - 1) == MINUTE
    assert await moment(MINUTE) == 6 * MINUTE
    assert await moment(12 * MINUTE) == 13 * MINUTE


async def test_a_mark_is_raised_again_and_cleared(database: Database) -> None:
    for number in range(2):
        await database.write(marks.raise_mark, "s", "k", until=START + 5 + number, message_id=f"m{number}")
    assert await database.read(marks.find_mark, "s", "k", now=START + 5) == "m1"
    await database.write(marks.clear_mark, "s", "k")
    assert await database.read(marks.find_mark, "s", "k", now=START) is None
