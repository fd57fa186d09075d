import msgspec
import pytest

from signalbox.criticality.models import Current
from signalbox.criticality.wire import encode_level, from_message, to_message

LEVEL = Current("s", 7, 3, 1_000_000, 2_000_000, "p", "because")


def test_apps_are_told_in_rfc_3339() -> None:
    assert msgspec.json.decode(encode_level(LEVEL)) == {
        "level": 3,
        "revision": 7,
        "changed_at": "1970-01-01T00:00:01.000000Z",
        "set_by": "p",
        "reason": "because",
    }


def test_processes_understand_each_other() -> None:
    assert from_message(to_message(LEVEL)) == LEVEL
    with pytest.raises(msgspec.DecodeError):
        from_message("{}")
