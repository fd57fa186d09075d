"""Secrets in settings: a literal, ``env:NAME`` or ``file:/path``, shown nowhere."""

import os
from pathlib import Path
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from signalbox.core.errors import InvalidError

MASK: Final = "**********"


class UnreadableSecretError(InvalidError):
    """The place that a secret is said to be in holds none."""

    code = "unreadable_secret"


class Secret:
    """A secret or where it is kept; ``repr``, ``str`` and JSON show a mask.

    Usable as the type of a Pydantic field, which takes text. Two secrets are equal when they were written
    the same way; whether the file or variable behind them has changed is for the owner to find out.
    """

    __slots__ = ("_source",)

    def __init__(self, source: str) -> None:
        self._source = source

    def reveal(self) -> str:
        """The secret itself; files and variables are read anew at every call, line ends behind it dropped.

        Raises:
            UnreadableSecretError: the variable is not set, the file cannot be read, or it is empty.
        """
        kind, _, place = self._source.partition(":")
        if kind == "env":
            return _filled(os.environ.get(place, ""), f"the environment variable {place} is not set or empty")
        if kind == "file":
            return _filled(_read(place), f"the file {place} is empty")
        return self._source

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._source == self._source

    def __hash__(self) -> int:
        return hash((Secret, self._source))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _parse,
            json_schema_input_schema=core_schema.str_schema(min_length=1),
            serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json"),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "minLength": 1, "format": "password", "writeOnly": True}


def _parse(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if isinstance(value, str) and value:
        return Secret(value)
    raise PydanticCustomError("secret", "a secret is text: itself, env:NAME or file:/path")  # noqa: EM101 - a template


def _filled(text: str, otherwise: str) -> str:
    if not text:
        raise UnreadableSecretError(otherwise)
    return text


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        msg = f"the file {path} cannot be read: {reason}"
        raise UnreadableSecretError(msg) from error
