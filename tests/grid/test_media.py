"""Which form of an answer a client would like."""

import pytest

from signalbox.grid.media import choose

OFFERS = ("application/json", "text/html", "text/csv")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, 0),
        ("", 0),
        ("*/*", 0),
        ("text/csv", 2),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 1),
        ("text/*", 1),
        ("text/csv;q=0.5, application/json;q=0.1", 2),
        ("image/png", 0),
        ("text/csv;q=x", 0),
        ("application/json;q=0, TEXT/CSV", 2),
    ],
)
def test_the_best_liked_is_chosen(accept: str | None, chosen: int) -> None:
    assert choose(accept, OFFERS) == OFFERS[chosen]
