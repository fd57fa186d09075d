"""Where settings come from: flags, ``SIGNALBOX_*`` variables, ``.env``, ``signalbox.toml``, defaults, in this order."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from dotenv import dotenv_values
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    TomlConfigSettingsSource,
)
from pydantic_settings import (
    SettingsError as UnreadableSettingsError,
)

from signalbox.app import origins
from signalbox.app.settings import PREFIX, Settings
from signalbox.core.errors import Fault, SettingsError
from signalbox.core.logging import redact
from signalbox.core.registry import OneOf

DEFAULT_FILE = Path("signalbox.toml")

_OUTSIDE = {"SIGNALBOX_CONFIG", "SIGNALBOX_ADMIN_PASSWORD"}
"""Variables that are read on their own and are no settings."""

_ALIASES = {"DATABASE_URL": "SIGNALBOX_DATABASE_URL", "PORT": "SIGNALBOX_PORT"}
"""Names that hosting platforms set."""


class Sources(BaseModel):
    """Where settings are read from, besides flags; variables with their aliases and files resolved."""

    environ: dict[str, str] = {}
    dotenv: dict[str, str] = {}
    file: Path | None = None
    called: dict[str, str] = {}
    """Variables that were given by another name: ``PORT`` or ``SIGNALBOX_PORT_FILE`` for ``SIGNALBOX_PORT``."""

    @classmethod
    def of_process(cls, file: Path | None = None) -> "Sources":
        """The environment, ``.env`` in the working directory, and ``file`` or ``signalbox.toml`` there.

        Raises:
            SettingsError: a file that is named does not exist or cannot be read.
        """
        dotenv = _read_dotenv(Path(".env"))
        environ = resolve(os.environ)
        named = file or _path(environ.get("SIGNALBOX_CONFIG")) or _path(dotenv.get("SIGNALBOX_CONFIG"))
        if named is None and DEFAULT_FILE.is_file():
            named = DEFAULT_FILE
        called = other_names(dotenv) | other_names(os.environ)
        return cls(environ=environ, dotenv=resolve(dotenv), file=named, called=called)

    @property
    def admin_password(self) -> str | None:
        """The password that the first user gets; None where none is given."""
        name = "SIGNALBOX_ADMIN_PASSWORD"
        return self.environ.get(name) or self.dotenv.get(name) or None

    def strangers(self) -> list[str]:
        """What to say of variables that begin with ``SIGNALBOX_`` and name no setting."""
        known = [name.upper() for name in Settings.model_fields]
        said = []
        for name in sorted({*self.environ, *self.dotenv}):
            first = name.removeprefix(PREFIX).partition("__")[0]
            if name.startswith(PREFIX) and name not in _OUTSIDE and first not in known:
                close = difflib.get_close_matches(first, known, n=1)
                said.append(f"{name} names no setting" + (f"; did you mean {PREFIX}{close[0]}?" if close else ""))
        return said


def load(flags: Mapping[str, Any], sources: Sources) -> Settings:
    """All settings, checked.

    Raises:
        SettingsError: one or more are wrong; each is named with its value and what is allowed.
    """
    if sources.file is not None:
        _check_toml(sources.file)

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del env_settings, dotenv_settings, file_secret_settings  # ours are handed in
            return (
                init_settings,
                _Variables(settings_cls, sources.environ),
                _Variables(settings_cls, sources.dotenv),
                TomlConfigSettingsSource(settings_cls, sources.file),
            )

    try:
        return Loaded(**flags).came_from(_origins(flags, sources))
    except ValidationError as error:
        raise SettingsError([_fault(each) for each in error.errors()]) from None
    except UnreadableSettingsError as error:
        if isinstance(error.__cause__, _NotJsonError):
            raise SettingsError([error.__cause__.fault]) from None
        raise


def resolve(variables: Mapping[str, str]) -> dict[str, str]:
    """Variables with platform names translated and ``NAME_FILE`` replaced by ``NAME`` with the file's text.

    Raises:
        SettingsError: a file cannot be read.
    """
    found = dict(variables)
    for alias, name in _ALIASES.items():
        if found.get(alias):
            found.setdefault(name, found[alias])
    for name in list(found):
        if not _names_file(name):
            continue
        try:
            found[name.removesuffix("_FILE")] = Path(found.pop(name)).read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError([Fault(name, _unreadable(error), variables[name])]) from None
    return found


def other_names(variables: Mapping[str, str]) -> dict[str, str]:
    """By what names variables were given that ``resolve`` calls otherwise."""
    aliases = {name: alias for alias, name in _ALIASES.items() if variables.get(alias) and name not in variables}
    files = {name.removesuffix("_FILE"): name for name in variables if _names_file(name)}
    return aliases | files


def _names_file(name: str) -> bool:
    target = name.removesuffix("_FILE")
    return name.startswith(PREFIX) and target != name and not target.endswith("_")


def _origins(flags: Mapping[str, Any], sources: Sources) -> dict[str, str]:
    """Where settings were set, the strongest source last."""
    found: dict[str, str] = {}
    if sources.file is not None:
        found |= origins.of_file(sources.file.read_text(encoding="utf-8"), str(sources.file))
    for variables, shown in ((sources.dotenv, ".env"), (sources.environ, "environment")):
        called = {name: sources.called.get(name, name) for name in variables}
        found |= origins.of_variables(_Variables(Settings, variables)(), called, shown)
    return found | origins.of_flags(flags)


class _NotJsonError(ValueError):
    """A variable for a list or table holds something else."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class _Variables(EnvSettingsSource):
    """Environment variables from a mapping that is handed in."""

    def __init__(self, settings_cls: type[BaseSettings], variables: dict[str, str]) -> None:
        self._variables = variables
        super().__init__(settings_cls)

    def _load_env_vars(self) -> dict[str, str | None]:
        return {name.lower(): value for name, value in self._variables.items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError as error:
            names = [name for name, text in self._variables.items() if text == value and name.startswith(PREFIX)]
            # a table may hold secrets, under keys that cannot be told apart here
            is_list = get_origin(getattr(field, "annotation", None)) is list and "{" not in value
            shown = repr(redact(value, field_name)) if is_list else None
            message = f'is not JSON ({error}); lists are written as ["a", "b"], tables as {{"name": "a"}}'
            raise _NotJsonError(Fault(" or ".join(names), message, shown)) from None


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _read_dotenv(path: Path) -> dict[str, str]:
    try:
        return {name: value for name, value in dotenv_values(path).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([Fault(str(path), _unreadable(error))]) from None


def _check_toml(path: Path) -> None:
    try:
        tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([Fault(str(path), _unreadable(error))]) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([Fault(str(path), f"is not TOML: {error}")]) from None


def _unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Why a file cannot be read, without a word of what it holds."""
    return f"cannot be read: {error.strerror if isinstance(error, OSError) else 'it is not UTF-8 text'}"


def _fault(error: ErrorDetails) -> Fault:
    """One Pydantic error in the words of a person who edits settings."""
    where = _dotted(error["loc"])
    if error["type"] == "extra_forbidden":
        return Fault(where, "is no setting" + _suggestion(error["loc"]))
    message = error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    name = str(error["loc"][-1]) if error["loc"] else ""
    shown = (
        None if isinstance(given, (dict, list, BaseModel)) or error["type"] == "missing" else repr(redact(given, name))
    )
    return Fault(where or "settings", message, shown)


def _dotted(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _suggestion(location: tuple[int | str, ...]) -> str:
    """The setting that was probably meant, and else all that exist at this place."""
    fields: Mapping[str, FieldInfo] = Settings.model_fields
    for part in location[:-1]:
        if isinstance(part, str) and part in fields:
            fields = _fields_below(fields[part].annotation)
    if not fields:
        return ""
    close = difflib.get_close_matches(str(location[-1]), fields, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known here are: {', '.join(fields)}"


def _fields_below(annotation: Any) -> dict[str, FieldInfo]:
    """Fields of the table that a setting is, or a list of tables; of plug-ins, those of every kind."""
    for each in (annotation, *get_args(annotation)):
        choices = [mark for mark in getattr(each, "__metadata__", ()) if isinstance(mark, OneOf)]
        models = choices[0].models if choices else [each] if hasattr(each, "model_fields") else []
        if models:
            return {name: field for model in models for name, field in model.model_fields.items()}
    return {}
