from signalbox.console.desk import not_found
from signalbox.console.page import Page, action, navigation


def page(name: str, **more: str) -> Page:
    return Page(name, f"/{name}", name.title(), "overview", (), **more)  # type: ignore[arg-type]


def test_pages_stand_together_by_group_in_the_order_of_the_list() -> None:
    pages = [page("a"), page("b", group="Work"), page("c"), page("d", group="Work")]
    shown = navigation(pages, "user")
    assert [(group, [each.name for each in listed]) for group, listed in shown] == [
        ("", ["a", "c"]),
        ("Work", ["b", "d"]),
    ]


def test_users_do_not_see_what_is_for_managers() -> None:
    pages = [page("a"), page("b", group="Work", role="manager")]
    assert [group for group, _ in navigation(pages, "user")] == [""]
    assert [group for group, _ in navigation(pages, "manager")] == ["", "Work"]


def test_what_changes_something_is_for_managers() -> None:
    made = action("/x", not_found)
    assert (made.method, made.role) == ("POST", "manager")
