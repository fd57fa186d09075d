"""Where each setting in force was set: the same sources as in ``load.py``, asked for names instead of values."""

import tomllib
from collections.abc import Mapping
from typing import Any

from signalbox.app.settings import PREFIX

FLAGS = "command line"


def flatten(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """Nested settings as dotted names with plain values, as they are written in TOML."""
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in flatten(item, f"{name}.{key}" if name else key)]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [pair for index, item in enumerate(value) for pair in flatten(item, f"{name}[{index}]")]
    return [] if value is None else [(name, value)]


def root_of(name: str) -> str:
    """The setting that a value belongs to: of a list the list itself, which no two sources share."""
    return name.partition("[")[0]


def of_file(text: str, shown: str) -> dict[str, str]:
    """What a settings file sets, by ``root_of``; ``shown`` is its path."""
    return {root_of(name): shown for name, _ in flatten(tomllib.loads(text))}


def of_flags(flags: Mapping[str, Any]) -> dict[str, str]:
    """What the command line sets."""
    found = {root_of(name): FLAGS for name, _ in flatten(dict(flags))}
    options = {name: f"{FLAGS}: --{name.replace('_', '-')}" for name in flags if name in found}
    return found | options


def of_variables(values: Mapping[str, Any], variables: Mapping[str, str], shown: str) -> dict[str, str]:
    """What variables set; ``values`` is what was read from them, nested, and ``variables`` has for each what it is called.

    A variable may hold a whole table as JSON; then all in it was set by it.
    """
    given = {name.upper(): called for name, called in variables.items()}
    return {name: f"{shown}: {_variable(name, given)}" for name in map(root_of, dict(flatten(dict(values))))}


def _variable(name: str, given: Mapping[str, str]) -> str:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        wanted = PREFIX + "__".join(parts[:length]).upper()
        if wanted in given:
            return given[wanted]
    return PREFIX + parts[0].upper()
