from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.tasks.providers.templates import BodyTemplate, Template, TemplateError

NAMES = ("id", "ids", "payload")
WORDS: dict[str, Any] = {"id": 7, "ids": ["a/b", "c,d"], "payload": {"x": "ü & ü", "deep": {"n": [1, None]}, "b": True}}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{id}", "7"),
        ("a{id}b{payload.x}", "a7bü & ü"),
        ("{payload.b}", "true"),
        ("{payload.deep}", '{"n":[1,null]}'),
        ("{payload.deep.n}", "1,null"),
        ("{{id}} and {{{id}}}", "{id} and {7}"),
    ],
)
def test_words_are_filled_in(source: str, text: str) -> None:
    assert Template(source, NAMES).text(WORDS) == text


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("{name}", r"unknown word {name}; known here are: {id}, {ids}, {payload}"),
        ("{payload..x}", r"unknown word {payload..x}"),
        ("{}", "unknown word {}"),
        ("{id", "a single {"),
        ("id}", "a single }"),
        ("{id.__class__!r}", "a single {"),
        ("{ id }", "a single {"),
    ],
)
def test_what_is_no_template_is_refused_when_it_is_read(source: str, complaint: str) -> None:
    with pytest.raises(TemplateError, match=complaint.replace("{", r"\{").replace(".", r"\.")):
        Template(source, NAMES)


def test_a_missing_part_is_named() -> None:
    for source in ("{payload.y}", "{payload.x.y}", "{payload.deep.m}"):
        with pytest.raises(TemplateError, match=f"there is no {source[1:-1]}"):
            Template(source, NAMES).text(WORDS)


def test_values_are_encoded_in_addresses_and_lists_joined() -> None:
    assert Template("/t/{payload.x}?ids={ids}", NAMES).url(WORDS) == b"/t/%C3%BC%20%26%20%C3%BC?ids=a%2Fb,c%2Cd"


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_value_that_would_be_another_path_is_refused(value: str) -> None:
    with pytest.raises(TemplateError, match="may not stand in an address"):
        Template("/tasks/{id}", NAMES).url({"id": value})


@given(st.text(min_size=1).filter(lambda text: text not in {".", ".."}))
def test_no_value_leaves_its_segment_or_parameter(value: str) -> None:
    value = value.encode("utf-8", "replace").decode()
    target = Template("/tasks/{id}?id={id}&x=1", NAMES).url({"id": value}).decode("ascii")
    path, _, query = target.partition("?")
    assert path.count("/") == 2
    assert unquote(path[len("/tasks/") :]) == value
    assert parse_qs(query, keep_blank_values=True) == {"id": [value], "x": ["1"]}


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\x00", "ü", "a\x7f"])
def test_a_value_that_would_break_a_header_is_refused(value: str) -> None:
    with pytest.raises(TemplateError, match="may not stand in a header"):
        Template("Bearer {id}", NAMES).header({"id": value})


def test_a_header_is_filled_in() -> None:
    assert Template("Bearer {id}", NAMES).header({"id": "a b\t~"}) == b"Bearer a b\t~"


def test_a_text_of_one_word_becomes_the_value_itself() -> None:
    source = {"id": "{id}", "text": "no {id}", "list": ["{payload.deep}", 1, None], "x": {"y": "{{id}}"}}
    template = BodyTemplate(source, NAMES)
    assert template.fill(WORDS) == {"id": 7, "text": "no 7", "list": [{"n": [1, None]}, 1, None], "x": {"y": "{id}"}}
    assert template.words == {"id", "payload.deep"}


def test_what_a_task_brings_is_no_template() -> None:
    assert BodyTemplate("{payload}", NAMES).fill({"payload": {"x": "{secret.token}"}}) == {"x": "{secret.token}"}


def test_an_unknown_word_deep_in_a_body_is_refused() -> None:
    with pytest.raises(TemplateError, match=r"unknown word \{other\}"):
        BodyTemplate({"a": [{"b": "{other}"}]}, NAMES)
