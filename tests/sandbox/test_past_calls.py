from collections import Counter

from signalbox.core.times import DAY, HOUR, MICROSECONDS, MINUTE
from signalbox.sandbox.past_calls import Span, calls, load_at

SINCE = 20_000 * DAY
OUTAGE = Span(SINCE + 30 * MINUTE, SINCE + 40 * MINUTE)
RATE = 5.0


def test_a_span_ends_before_its_end() -> None:
    assert OUTAGE.has(OUTAGE.begins)
    assert not OUTAGE.has(OUTAGE.ends)


def test_nights_are_quiet_and_the_mean_of_a_day_is_one() -> None:
    hours = [load_at(SINCE + hour * HOUR) for hour in range(24)]
    assert abs(sum(hours) / 24 - 1) < 0.01
    assert min(hours) > 0.1
    assert hours[4] < 0.5
    assert hours[12] > 1.2


def test_minutes_follow_each_other_and_calls_stand_in_the_order_in_which_they_ended() -> None:
    until = SINCE + HOUR - MICROSECONDS
    minutes = list(calls(since=SINCE, until=until, rate=RATE, outage=OUTAGE))
    assert len(minutes) == 60
    for number, rows in enumerate(minutes):
        begins = SINCE + number * MINUTE
        assert all(begins <= row[0] < begins + MINUTE for row in rows)
        ended = [row[0] + row[6] for row in rows]
        assert ended == sorted(ended)
        assert all(moment < until for moment in ended)
    found = sum(map(len, minutes))
    assert abs(found / (3600 * RATE * load_at(SINCE)) - 1) < 0.2


def test_in_an_outage_nothing_succeeds_and_soon_nothing_is_called() -> None:
    minutes = calls(since=SINCE, until=SINCE + HOUR, rate=RATE, outage=OUTAGE)
    rows = [row for minute in minutes for row in minute]
    away = [row for row in rows if OUTAGE.has(row[0])]
    assert {row[5] for row in away} == {502, 503}
    early = [row[5] for row in away if row[0] < OUTAGE.begins + 10 * MICROSECONDS]
    assert set(early) == {502}
    statuses = Counter(row[5] for row in rows if not OUTAGE.has(row[0]))
    assert 0.9 < (statuses[200] + statuses[201]) / statuses.total() < 0.99
