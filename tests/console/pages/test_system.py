from signalbox.console.pages.system import grouped
from signalbox.console.services import Setting
from tests.console.conftest import SignedIn


def setting(name: str) -> Setting:
    return Setting(name, "1", default=True)


async def test_versions_are_told_to_everybody(signed_in: SignedIn) -> None:
    text = await (await signed_in("user")).text("/admin/system")
    assert "SQLite 3." in text
    assert "CPython 3." in text
    assert "calls_0" in text
    assert "database_url" not in text


async def test_a_manager_sees_what_was_set_and_all(signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    changed = await manager.text("/admin/system")
    assert "database_url" in changed
    assert "sqlite:///" not in changed
    assert "retention.calls" not in changed
    every = await manager.text("/admin/system?show=all")
    assert "retention.calls" in every


def test_settings_outside_of_tables_come_first() -> None:
    found = grouped([setting("port"), setting("auth.a"), setting("budgets[0].host"), setting("margin")])
    assert [(name, [each.name for each in settings]) for name, settings in found] == [
        ("hub", ["port", "margin"]),
        ("auth", ["auth.a"]),
        ("budgets", ["budgets[0].host"]),
    ]
