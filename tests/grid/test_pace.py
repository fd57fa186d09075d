"""How much an import writes at once."""

from signalbox.grid.models import stale_block
from signalbox.grid.pace import FIRST, HOLD, LEAST, MOST, PAUSE, Pace, read_version
from tests.support.databases import Place


def test_steps_take_as_much_as_fits_the_time() -> None:
    pace = Pace()
    assert pace.size == FIRST
    pace.note(FIRST, HOLD)
    assert pace.size == FIRST
    pace.note(FIRST, HOLD / 10)
    assert pace.size == 2 * FIRST, "no more than twice as much as before"
    pace.note(2 * FIRST, 4 * HOLD)
    assert pace.size == FIRST // 2
    pace.note(100, 4 * HOLD)
    assert pace.size == FIRST // 2, "the end of a batch"
    pace.note(FIRST, 100 * HOLD)
    assert pace.size == LEAST
    for _ in range(20):
        pace.note(pace.size, 0.0)
    assert pace.size == MOST


def test_it_pauses_while_others_write(place: Place) -> None:
    engine, other = place.engine(), place.engine()
    pace, pauses = Pace(), []
    for others_write in (False, True, False):
        if others_write:
            with other.begin() as tx:
                tx.execute(stale_block.insert(), {"day": 1, "block": 1})
        with engine.begin() as tx:
            pace.note_version(read_version(tx))
        pauses.append(pace.pause)
    assert pauses == [0.0, PAUSE if place.dialect == "sqlite" else 0.0, 0.0]
    engine.dispose()
    other.dispose()
