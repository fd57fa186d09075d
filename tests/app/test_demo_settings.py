from pathlib import Path

import pytest

from signalbox.app.demo_settings import demo_settings
from signalbox.app.hub import FEATURES, open_hub, upgrade_databases
from signalbox.sandbox.world import opened_world


async def test_the_demo_knows_everybody_around_it(tmp_path: Path) -> None:
    async with opened_world() as world:
        settings = demo_settings(tmp_path, world, 8123)
        upgrade_databases(settings)
        async with open_hub(settings) as hub:
            assert hub.settings.port == 8123
            assert [each.name for each in settings.tasks.providers] == ["checks"]
            assert {each.name for each in settings.notifications.channels} == {"sales-chat", "pricing-mail", "on-call"}
            assert len(hub.features) == len(FEATURES) + 1, "the console sees all others, and comes last"


async def test_the_user_s_environment_has_no_part_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALBOX_DATABASE_URL", "postgresql://nobody@nowhere/none")
    async with opened_world() as world:
        assert demo_settings(tmp_path, world, 8123).database_url is None
