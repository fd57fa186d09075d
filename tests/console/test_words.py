import pytest

from signalbox.console.words import split_at


@pytest.mark.parametrize(
    ("text", "words", "pieces"),
    [
        ("The Market moves", ("market",), [("The ", False), ("Market", True), (" moves", False)]),
        ("supermarket", ("market",), [("supermarket", False)]),
        ("a+b and c", ("b", "c"), [("a+", False), ("b", True), (" and ", False), ("c", True)]),
        ("all of it", (), [("all of it", False)]),
        (None, ("x",), []),
    ],
)
def test_words_are_found_whole_and_in_any_case(
    text: str | None, words: tuple[str, ...], pieces: list[tuple[str, bool]]
) -> None:
    found = split_at(text, words)
    assert found == pieces
    assert "".join(piece for piece, _ in found) == (text or "")
