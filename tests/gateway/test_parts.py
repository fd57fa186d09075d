"""What of an upstream stays when settings change."""

from typing import Any

import pytest

from signalbox.gateway.breaker import Breaker, State
from signalbox.gateway.limits import RateLimitedError
from signalbox.gateway.parts import PartsBin
from signalbox.gateway.schemas import CallRow
from signalbox.gateway.settings import GatewaySettings
from signalbox.infra.context import Context


def settings(*upstreams: dict[str, Any]) -> GatewaySettings:
    listed = [{"url": "http://api.test", "prefix": f"/{each['name']}", **each} for each in upstreams]
    return GatewaySettings.model_validate({"upstreams": listed})


def nobody(_old: State, _new: State, _breaker: Breaker) -> None:
    """Listens to no change."""


def unrecorded(_call: CallRow) -> None:
    """Keeps no calls."""


def test_an_upstream_keeps_its_parts_while_its_settings_stay(context: Context) -> None:
    parts_bin = PartsBin(context, nobody, unrecorded)
    before = parts_bin.make(settings({"name": "a"}, {"name": "b"}), {})
    after = parts_bin.make(settings({"name": "b"}, {"name": "a", "max_body": 5}, {"name": "c"}), before)
    assert set(after) == {"a", "b", "c"}
    assert after["b"] is before["b"]
    assert after["a"].dispatcher is not before["a"].dispatcher


def test_counts_of_a_limit_outlive_a_change_of_settings(context: Context) -> None:
    parts_bin = PartsBin(context, nobody, unrecorded)
    limited = {"name": "a", "limits": [{"by": "ip", "rate": "1/1h"}]}
    before = parts_bin.make(settings(limited), {})
    after = parts_bin.make(settings({**limited, "max_body": 5}), before)
    first, second = before["a"].limits, after["a"].limits
    assert first is not None
    assert second is not None
    assert first.check("192.0.2.1", None, b"/", 0)
    with pytest.raises(RateLimitedError):
        second.check("192.0.2.1", None, b"/", 1)
    assert parts_bin.make(settings({"name": "a"}), {})["a"].limits is None
