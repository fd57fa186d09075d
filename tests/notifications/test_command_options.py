import pytest

from signalbox.notifications.command_options import InvalidPairError, to_dict


def test_pairs_are_read() -> None:
    assert to_dict(None) == {}
    assert to_dict(["region=eu", "link=a=b", "empty="]) == {"region": "eu", "link": "a=b", "empty": ""}


@pytest.mark.parametrize("pair", ["region", "=eu", ""])
def test_what_is_no_pair_is_refused(pair: str) -> None:
    with pytest.raises(InvalidPairError):
        to_dict([pair])
