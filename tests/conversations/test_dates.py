import pytest

from signalbox.conversations.dates import parse_bound, parse_published
from signalbox.core.times import DAY, to_rfc3339


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-02-29", "2024-02-29T00:00:00"),
        (" 2024-02-29 10:30:00 ", "2024-02-29T10:30:00"),
        ("2024-02-29T10:30:00+02:00", "2024-02-29T08:30:00"),
        ("1969-12-31", "1969-12-31T00:00:00"),
        ("2024/02/29", "2024-02-29T00:00:00"),
        ("29.02.2024", "2024-02-29T00:00:00"),
        ("February 29, 2024", "2024-02-29T00:00:00"),
        ("29 Feb 2024", "2024-02-29T00:00:00"),
        ("2023-02-29", None),
        ("03/04/2024", None),
        ("soon", None),
        ("", None),
        ("0001-01-01T00:00:00+14:00", "0000"),
    ],
)
def test_dates_are_read_or_not(text: str, day: str | None) -> None:
    found = parse_published(text)
    if day == "0000":
        return  # it is enough that it does not fail
    assert found == (None if day is None else parse_published(day))
    assert found is None or to_rfc3339(found).startswith(str(day))


def test_a_bound_that_is_a_day_ends_with_it() -> None:
    begin, end = (parse_bound("2024-01-31", end=end) for end in (False, True))
    assert end - begin == DAY - 1
    assert parse_bound("2024-01-31T00:00:00Z", end=True) == begin
    for wrong in ("2024-01-31T00:00:00", "x"):
        with pytest.raises(ValueError, match="i"):
            parse_bound(wrong, end=False)
