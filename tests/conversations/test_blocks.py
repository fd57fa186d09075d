import numpy as np
import pytest

from signalbox.conversations.blocks import Block, Content, Texts, encode

NAN = float("nan")


def texts(*given: str | None) -> Texts:
    data = [None if each is None else each.encode() for each in given]
    lengths = np.array([-1 if each is None else len(each) for each in data], dtype=np.int32)
    return Texts(lengths, b"".join(each for each in data if each is not None))


def test_rows_come_back_as_they_were() -> None:
    data = encode(np.array([1.0, NAN, 2.5]), [texts("a", None, ""), texts(None, "\u00fc\U0001f600", "c"), None, None])
    block = Block(data)
    assert [block.content(row) for row in range(block.rows)] == [
        Content(1.0, "a", None, None, None),
        Content(None, None, "\u00fc\U0001f600", None, None),
        Content(2.5, "", "c", None, None),
    ]


def test_words_are_those_of_all_texts_but_the_speaker() -> None:
    both = Block(encode(np.zeros(2), [texts("a", None), texts("b", "c"), None, None]))
    assert [each.split() for each in both.words()] == [["a", "b"], ["c"]]
    said = Block(encode(np.zeros(3), [None, None, texts("Ann", "Ann", "Bo"), texts("x", None, "\u00e9 y")]))
    assert said.words() == ["x", "", "\u00e9 y"]
    mixed = Block(encode(np.zeros(2), [texts("\u00e9", "e"), None, None, texts(None, "f")]))
    assert [each.split() for each in mixed.words()] == [["\u00e9"], ["e", "f"]]
    assert Block(encode(np.zeros(2), [None] * 4)).words() == ["", ""]
    assert Block(encode(np.zeros(0), [None] * 4)).words() == []


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 2"):
        Block(b"\2" + encode(np.zeros(1), [None] * 4)[1:])
