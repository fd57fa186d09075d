from signalbox.console.schema_fields import fields_of
from signalbox.grid.kinds import kinds


def test_numbers_texts_and_choices_are_told_apart() -> None:
    line = {each.name: each for each in fields_of(kinds()["LINE"])}
    assert (line["length_km"].type, line["length_km"].label, line["length_km"].required) == (
        "number",
        "Length, km",
        True,
    )
    assert (line["from_substation"].type, line["from_substation"].required) == ("text", False)
    switch = {each.name: each for each in fields_of(kinds()["SWITCH"])}
    assert switch["status"].options == ["OPEN", "CLOSED"]


def test_what_may_be_null_is_told_by_what_else_it_may_be() -> None:
    transformer = {each.name: each for each in fields_of(kinds()["TRANSFORMER"])}
    assert (transformer["tap"].type, transformer["tap"].required) == ("number", False)


def test_fields_are_left_out() -> None:
    assert "name" not in {each.name for each in fields_of(kinds()["LINE"], without=frozenset({"name"}))}
