import pytest
from pydantic import ValidationError

from signalbox.console.settings import StatusPageSettings


def test_nothing_is_public_unless_said_so() -> None:
    settings = StatusPageSettings()
    assert (settings.enabled, settings.upstreams) == (False, [])


def test_a_page_without_a_title_is_none() -> None:
    with pytest.raises(ValidationError):
        StatusPageSettings(enabled=True, title="")
