from signalbox.core.drain import Drain


def test_each_listener_is_told_once() -> None:
    drain, told = Drain(), []
    drain.listen(lambda: told.append("a"))
    drain.listen(lambda: told.append("b"))
    assert not drain.begun
    drain.begin()
    assert drain.begun
    assert told == ["a", "b"]
    drain.begin()
    assert told == ["a", "b"]


def test_who_took_it_back_is_not_told() -> None:
    drain, told = Drain(), []
    forget = drain.listen(lambda: told.append("a"))
    drain.listen(lambda: told.append("b"))
    forget()
    forget()
    drain.begin()
    assert told == ["b"]
    assert drain.begun
