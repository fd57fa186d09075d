"""The settings in force, as people may see them."""

import json
import re
from typing import Any

from signalbox.app.origins import flatten, root_of
from signalbox.app.settings import Settings
from signalbox.console.services import Setting
from signalbox.core.logging import MASK, redact

DEFAULT = "default"
"""The origin of what nobody has set."""
_HEADERS = ("headers", "submit_headers")
_QUERY = re.compile(r"([?&][\w.~%\[\]-]+=)(?!\{[^{}]*\}(?:[&#\s]|$))[^&#\s]+")
"""A value in the query of an address, unless it is one word in braces, which stands for another."""


def list_settings(settings: Settings) -> list[Setting]:
    """All that have a value, in the order in which they are declared; secrets masked."""
    changed = {name for name, _ in flatten(settings.model_dump(mode="json", exclude_defaults=True))}
    return [
        Setting(
            name,
            json.dumps(value, ensure_ascii=False),
            default=name not in changed,
            origin=settings.origins.get(root_of(name), DEFAULT),
        )
        for name, value in flatten(masked(settings))
    ]


def masked(settings: Settings) -> dict[str, Any]:
    """All of them as JSON has them, without secrets, nor what may be one: values of headers, and in queries of addresses.

    What names a secret, such as ``Bearer {secret.token}``, is none.
    """
    shown: dict[str, Any] = _mask(redact(settings.model_dump(mode="json")))
    return shown


def _mask(value: Any, *, in_headers: bool = False) -> Any:
    if isinstance(value, dict):
        return {name: _mask(item, in_headers=in_headers or name in _HEADERS) for name, item in value.items()}
    if isinstance(value, list):
        return [_mask(item, in_headers=in_headers) for item in value]
    if not isinstance(value, str):
        return value
    if in_headers:
        return value if "{secret." in value else MASK
    return _QUERY.sub(rf"\1{MASK}", value)
