import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.tasks.providers.messages import LONGEST, as_message, clean, complaint_of


@given(st.text() | st.text(alphabet="a \n\x00\u202e", min_size=490, max_size=3_000))
def test_a_clean_text_is_one_short_line_and_stays_as_it_is(text: str) -> None:
    line = clean(text)
    assert len(line) <= LONGEST
    assert not {"\n", "\r", "\x00", "\x1b", "\u202e", "\x85", "\u2028"} & set(line)
    assert line == line.strip()
    assert clean(line) == line
    line.encode()


@pytest.mark.parametrize(
    ("text", "line"), [("a\r\n\tb", "a b"), (" a  b ", "a b"), ("ü 🚦", "ü 🚦"), ("x" * 501, "x" * 499 + "…")]
)
def test_a_text_becomes_a_line(text: str, line: str) -> None:
    assert clean(text) == line


@pytest.mark.parametrize(
    ("value", "message"), [(None, None), ("", None), ("\n", None), ("a", "a"), ({"a": 1}, '{"a":1}')]
)
def test_a_message_is_text_or_written_out(value: object, message: str | None) -> None:
    assert as_message(value) == message


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"error": "bad range"}, "bad range"),
        ({"error": {"message": "bad range", "code": 7}}, "bad range"),
        ({"message": "bad range", "error": "Bad Request"}, "bad range"),
        ({"type": "about:blank", "title": "Bad", "detail": "bad range"}, "bad range"),
        ({"detail": [{"loc": ["body"], "msg": "bad range"}]}, "bad range"),
        ({"errors": ["bad range", "other"]}, "bad range"),
        ({"message": "", "title": "bad range"}, "bad range"),
        ("bad range", "bad range"),
        ({"code": 7}, '{"code":7}'),
        ([], "[]"),
        (None, None),
    ],
)
def test_the_sentence_of_a_json_error_is_found(value: Any, sentence: str | None) -> None:
    assert complaint_of(json.dumps(value).encode()) == sentence


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", None),
        (b" \n", None),
        (b"Bad\nrange", "Bad range"),
        (b'{"error":"\xff"}', '{"error":"�"}'),
        (b"\xff\xfe", "��"),
        (b"[" * 100_000, "[" * 499 + "…"),
        (b'{"error":"cut o', '{"error":"cut o'),
        (b'{"error":' * 20 + b"1" + b"}" * 20, '{"error":' * 20 + "1" + "}" * 20),
    ],
)
def test_the_beginning_of_any_other_text_is_shown(body: bytes, sentence: str | None) -> None:
    assert complaint_of(body) == sentence
