"""Fields of a form, from the JSON schema of what is to be filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of a form."""

    name: str
    label: str
    type: str
    """Of the input: ``text`` or ``number``."""
    required: bool
    options: list[str] | None
    """What may be chosen; None: whatever is written."""


def fields_of(model: type[BaseModel], *, without: frozenset[str] = frozenset()) -> list[FormField]:
    """The fields of a model of texts, numbers and choices, in its order."""
    schema = model.model_json_schema()
    required = set(schema.get("required", []))
    return [
        _field(name, _plain(about), required=name in required)
        for name, about in schema["properties"].items()
        if name not in without
    ]


def _plain(about: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a field is besides null."""
    return next((each for each in about.get("anyOf", []) if each.get("type") != "null"), about)


def _field(name: str, about: Mapping[str, Any], *, required: bool) -> FormField:
    label, _, unit = name.replace("_", " ").rpartition(" ")
    units = {"km": "km", "kv": "kV", "mva": "MVA"}
    text = f"{label}, {units[unit]}" if unit in units else name.replace("_", " ")
    kind = "number" if about.get("type") in {"number", "integer"} else "text"
    return FormField(name, text[0].upper() + text[1:], kind, required, about.get("enum"))
