from signalbox.conversations.pacing import ALONE, BESIDE, REMEMBERED, Pace, Turns


def test_the_pace_follows_the_time_that_rows_took() -> None:
    pace = Pace((100, 8_192))
    for _ in range(20):
        pace.adjust(pace.amount, pace.amount / 50_000)
    assert 1_900 <= pace.amount <= 2_100
    for _ in range(20):
        pace.adjust(pace.amount, pace.amount / 50_000, goal=ALONE)
    assert 3_900 <= pace.amount <= 4_100
    pace.adjust(pace.amount, 60)
    assert pace.amount == 100
    for _ in range(20):
        pace.adjust(pace.amount, 0)
    assert pace.amount == 8_192


def test_the_lock_is_left_as_long_as_it_was_held_while_others_write() -> None:
    turns = Turns()
    turns.look(7, now=0.0)
    assert (turns.goal(now=0.0), turns.pause(held=0.1, left=0.03, now=0.0)) == (ALONE, 0.0)
    turns.look(7, now=1.0)
    assert turns.goal(now=1.0) == ALONE
    turns.look(9, now=2.0)
    assert turns.goal(now=2.0) == BESIDE
    assert round(turns.pause(held=0.1, left=0.03, now=2.0), 6) == 0.07
    assert turns.pause(held=0.02, left=0.03, now=2.0) == 0.0
    assert turns.goal(now=2.0 + REMEMBERED) == ALONE, "they are forgotten"
