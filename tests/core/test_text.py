import re

import pytest

from signalbox.core.text import NO_NUL


@pytest.mark.parametrize("text", ["", "a", "two\nlines", "\N{GRINNING FACE}", "\x01\x7f"])
def test_texts_without_nul_are_taken(text: str) -> None:
    assert re.search(NO_NUL, text)


@pytest.mark.parametrize("text", ["\x00", "a\x00", "\x00b", "a\nb\x00c"])
def test_texts_with_nul_are_refused(text: str) -> None:
    assert not re.search(NO_NUL, text)
