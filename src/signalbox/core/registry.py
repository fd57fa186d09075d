"""Plug-ins: a module put into a package is a new kind of channel, provider or component, and nothing else is edited.

A module that is a plug-in holds two things:

- its settings, a ``PluginSettings`` with ``kind: Literal["slack"]``,
- one class with ``settings_model``, those settings, and ``example(url)``, settings that work against the server there.

A module that holds neither is a helper of its neighbours; one that holds half a plug-in is refused.
"""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Annotated, Any, ClassVar, Final, Literal, Protocol, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from signalbox.core.errors import SignalboxError

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Pattern of the names that people give to channels, providers and the like."""

_MARK: Final = "settings_model"


class BrokenPluginError(SignalboxError):
    """A module of a package of plug-ins is not as such a module must be."""

    code = "broken_plugin"


class PluginSettings(BaseModel):
    """What the settings of every plug-in have; a kind adds its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    """Which plug-in this is for."""
    name: Annotated[str, Field(pattern=NAME)]
    """Unique among those of its list; shown in statistics and errors."""


class Plugin(Protocol):
    """What every class that is a plug-in has, besides what its package asks for."""

    settings_model: ClassVar[type[PluginSettings]]
    """Its settings."""

    @classmethod
    def example(cls, url: str) -> PluginSettings:
        """Settings of the kind, as few as do, for a server at ``url`` (without a slash at its end)."""
        ...


@functools.cache
def discover(package: str) -> Mapping[str, type[Plugin]]:
    """The plug-ins of a package, such as ``signalbox.tasks.providers``, by their kind; its modules are imported.

    Raises:
        BrokenPluginError: a module lacks a part of a plug-in, holds two, or claims a kind that another has.
    """
    found: dict[str, type[Plugin]] = {}
    parent = importlib.import_module(package)
    for each in sorted(pkgutil.iter_modules(parent.__path__), key=lambda module: module.name):
        module = importlib.import_module(f"{package}.{each.name}")
        plugin = _plugin_of(module)
        if plugin is None:
            continue
        kind = _kind_of(plugin.settings_model)
        if kind is None:
            raise _broken(module, f"{plugin.settings_model.__name__} has no field kind: Literal[...] of one word")
        if kind in found:
            raise _broken(module, f"the kind {kind!r} is taken by {found[kind].__module__}")
        found[kind] = plugin
    return MappingProxyType(found)


@dataclass(frozen=True)
class OneOf:
    """Marks a field of settings that takes the settings of any plug-in of a package: ``kind`` says of which.

    ``channels: list[Annotated[PluginSettings, OneOf("signalbox.notifications.channels")]] = []``
    """

    package: str

    @property
    def models(self) -> list[type[PluginSettings]]:
        """The settings of each kind."""
        return [plugin.settings_model for plugin in discover(self.package).values()]

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        models = {kind: plugin.settings_model for kind, plugin in discover(self.package).items()}

        def choose(value: Any, _inner: Any) -> PluginSettings:
            return _chosen(value, models)

        # Pydantic's own tagged union would put the kind into the place of every error: providers[0].http-json.url.
        union = core_schema.tagged_union_schema({kind: handler(model) for kind, model in models.items()}, "kind")
        return core_schema.no_info_wrap_validator_function(choose, union)


def _plugin_of(module: ModuleType) -> type[Plugin] | None:
    classes = [each for each in _own_classes(module) if _MARK in vars(each)]
    settings = [each for each in _own_classes(module) if issubclass(each, PluginSettings) and _kind_of(each)]
    if not classes and not settings:
        return None
    if len(classes) != 1:
        names = ", ".join(each.__name__ for each in classes) or "none"
        raise _broken(module, f"one class with {_MARK} is wanted, there is: {names}")
    plugin = classes[0]
    model = vars(plugin)[_MARK]
    if not (isinstance(model, type) and issubclass(model, PluginSettings)):
        raise _broken(module, f"{plugin.__name__}.{_MARK} is no PluginSettings")
    if not callable(getattr(plugin, "example", None)):
        raise _broken(module, f"{plugin.__name__} has no example(url)")
    return plugin


def _own_classes(module: ModuleType) -> Iterator[type]:
    for value in vars(module).values():
        if inspect.isclass(value) and value.__module__ == module.__name__:
            yield value


def _kind_of(model: type[PluginSettings]) -> str | None:
    annotation = model.model_fields["kind"].annotation
    words = get_args(annotation) if get_origin(annotation) is Literal else ()
    return words[0] if len(words) == 1 and isinstance(words[0], str) else None


def _broken(module: ModuleType, what: str) -> BrokenPluginError:
    return BrokenPluginError(f"{module.__name__} is no plug-in: {what}")


def _chosen(value: Any, models: Mapping[str, type[PluginSettings]]) -> PluginSettings:
    if isinstance(value, PluginSettings) and type(value) in models.values():
        return value
    kind = value.get("kind") if isinstance(value, Mapping) else None
    model = models.get(kind) if isinstance(kind, str) else None
    if model is None:
        known = ", ".join(sorted(models)) or "none"
        code, template = "unknown_kind", "is a table with a kind; known kinds are: {known}"
        raise PydanticCustomError(code, template, {"known": known})
    return model.model_validate(value)
