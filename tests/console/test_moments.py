import pytest

from signalbox.console.moments import parse_moment
from signalbox.core.errors import UnprocessableError
from signalbox.core.times import MINUTE, to_datetime, to_rfc3339

NOW = 1_800_000_000_000_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("15m", to_rfc3339(NOW - 15 * MINUTE)),
        ("2026-01-31", "2026-01-31T00:00:00.000000Z"),
        ("2026-01-31T10:00", "2026-01-31T10:00:00.000000Z"),
        ("2026-01-31T10:00:00+02:00", "2026-01-31T08:00:00.000000Z"),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00.000000Z"),
    ],
)
def test_moments_as_people_write_them(text: str, moment: str) -> None:
    found = parse_moment(text, name="since", now=NOW)
    assert found is not None
    assert to_rfc3339(found) == moment


@pytest.mark.parametrize("text", [None, ""])
def test_nothing_is_no_moment(text: str | None) -> None:
    assert parse_moment(text, name="since", now=NOW) is None


@pytest.mark.parametrize("text", ["yesterday", "0m", "2026-13-01", "99999999999d", "\0"])
def test_what_is_no_moment_names_its_filter(text: str) -> None:
    with pytest.raises(UnprocessableError) as caught:
        parse_moment(text, name="since", now=NOW)
    assert caught.value.faults[0].where == "since"
    assert "2026-01-31T10:00" in caught.value.faults[0].message


def test_the_present_is_a_moment() -> None:
    text = to_datetime(NOW).isoformat()
    assert parse_moment(text, name="until", now=NOW) == NOW
