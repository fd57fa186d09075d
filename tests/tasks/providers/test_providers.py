"""The seam itself: how providers are made from settings."""

import pytest

from signalbox.core.rates import parse_rate
from signalbox.core.secrets import Secret, UnreadableSecretError
from signalbox.tasks.providers import ProviderSettings, build_provider
from signalbox.tasks.providers.http_json import HttpJsonProvider
from tests.tasks.providers.conftest import World


def test_the_settings_decide_the_kind(world: World) -> None:
    provider = build_provider(HttpJsonProvider.example(world.url), outbound=world.outbound, clock=world.clock)
    assert isinstance(provider, HttpJsonProvider)


def test_a_secret_that_is_not_there_stops_it(world: World) -> None:
    settings = HttpJsonProvider.example(world.url).model_copy(update={"secrets": {"key": Secret("file:/none/at/all")}})
    with pytest.raises(UnreadableSecretError):
        build_provider(settings, outbound=world.outbound, clock=world.clock)


def test_limits_of_two_providers_never_share_a_key() -> None:
    one, two = (ProviderSettings(kind="x", name=name, limits=(parse_rate("5/1s"),)) for name in ("a", "b"))
    assert not one.keyed_limits.keys() & two.keyed_limits.keys()
    assert list(one.keyed_limits.values()) == [parse_rate("5/1s")]
