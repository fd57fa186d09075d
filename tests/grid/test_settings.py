"""Settings of the grid."""

import pytest

from signalbox.app.load import Sources, load
from signalbox.core.errors import SettingsError
from signalbox.grid.settings import GridSettings


def test_a_hub_needs_none() -> None:
    assert load({}, Sources()).grid == GridSettings()


@pytest.mark.parametrize("wrong", [{"report_concurrency": 0}, {"schedule_catch_up": 0}, {"max_rules": -1}, {"pace": 1}])
def test_wrong_ones_are_named_at_the_start(wrong: dict[str, int]) -> None:
    (name,) = wrong
    with pytest.raises(SettingsError, match=f"grid.{name}"):
        load({"grid": wrong}, Sources())
