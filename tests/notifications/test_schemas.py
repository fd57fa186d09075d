import msgspec
import pytest

from signalbox.core.nesting import DEEPEST
from signalbox.notifications.schemas import AssistanceIn


def decode(levels: int) -> AssistanceIn:
    metadata = f'{{"a":{"[" * (levels - 1)}{"]" * (levels - 1)}}}' if levels > 1 else "{}"
    body = f'{{"topic":"sales","description":"x","metadata":{metadata}}}'
    return msgspec.json.decode(body.encode(), type=AssistanceIn)


def test_metadata_has_as_many_levels_as_lists_can_show() -> None:
    assert decode(1).metadata == {}
    assert decode(DEEPEST).metadata
    with pytest.raises(msgspec.ValidationError, match="nested"):
        decode(DEEPEST + 1)
