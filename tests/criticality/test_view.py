from signalbox.criticality.models import Current
from signalbox.criticality.view import View


def level(revision: int, signal: str = "s") -> Current:
    return Current(signal, revision, 3, 0, 0, "p", None)


def test_without_a_level_there_is_nothing_to_tell() -> None:
    assert View().has_nothing_for(("a", "s"))


def test_only_of_a_level_somebody_was_told() -> None:
    view = View()
    assert not view.was_told(("a", "s")), "there may be no such signal"
    view.apply(level(2))
    assert not view.was_told(("a", "s"))
    view.note_told(("a", "s"), 2)
    assert view.was_told(("a", "s"))
    view.apply(level(3))
    assert not view.was_told(("a", "s"))


def test_an_app_is_told_up_to_a_revision() -> None:
    view = View()
    assert view.apply(level(2))
    assert not view.has_nothing_for(("a", "s"))
    view.note_told(("a", "s"), 2)
    assert view.has_nothing_for(("a", "s"))
    assert not view.has_nothing_for(("b", "s"))
    view.note_told(("a", "s"), 1)
    assert view.has_nothing_for(("a", "s"))
    view.apply(level(3))
    assert not view.has_nothing_for(("a", "s"))


def test_old_news_changes_nothing() -> None:
    view = View()
    assert [view.apply(each) for each in (level(2), level(1, "t"))] == [True, True]
    assert [view.apply(each) for each in (level(1), level(2), level(2, "t"))] == [False, False, True]
    assert view.known["s"].revision == 2
    assert view.known["s"].etag == b'"2"'


def test_memory_is_bounded_and_what_is_forgotten_is_asked_for() -> None:
    view = View(max_told=2)
    view.apply(level(1))
    for app in "abc":
        view.note_told((app, "s"), 1)
    assert [view.has_nothing_for((app, "s")) for app in "abc"] == [False, True, True]
