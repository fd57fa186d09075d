import random

from signalbox.client.backoff import Backoff


def test_waits_grow_to_a_limit_and_begin_anew() -> None:
    backoff = Backoff(first=1, longest=8, dice=random.Random(1))
    limits = [1, 2, 4, 8, 8]
    assert all(0 <= backoff.next() <= limit for limit in limits)
    backoff.reset()
    assert backoff.next() <= 1


def test_waits_differ() -> None:
    assert len({Backoff(first=1).next() for _ in range(20)}) > 10


def test_the_hub_may_ask_for_more() -> None:
    assert Backoff(first=1).next(at_least=5) == 5
