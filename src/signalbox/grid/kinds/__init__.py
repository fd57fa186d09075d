"""Kinds of components: a module of this package with one subclass of ``ComponentIn`` is a kind."""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, get_args

from pydantic import GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from signalbox.core.errors import Fault, UnprocessableError
from signalbox.grid.schemas import ComponentIn


@functools.cache
def kinds() -> Mapping[str, type[ComponentIn]]:
    """The kinds by their ``component_type``."""
    found: dict[str, type[ComponentIn]] = {}
    for each in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        module = importlib.import_module(f"{__name__}.{each.name}")
        for value in vars(module).values():
            if inspect.isclass(value) and issubclass(value, ComponentIn) and value.__module__ == module.__name__:
                (word,) = get_args(value.model_fields["component_type"].annotation)
                found[word] = value
    return MappingProxyType(found)


class _OfAnyKind:
    """Marks a field that takes a component of any kind; ``component_type`` says of which."""

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        models = {word: handler(model) for word, model in kinds().items()}
        return core_schema.tagged_union_schema(models, "component_type")


AnyComponent = Annotated[ComponentIn, _OfAnyKind()]
"""A component of any kind."""

_ADAPTER: TypeAdapter[ComponentIn] = TypeAdapter(AnyComponent)


def check(values: Mapping[str, Any]) -> ComponentIn:
    """The component that these values describe.

    Raises:
        UnprocessableError: they describe none.
    """
    try:
        return _ADAPTER.validate_python(dict(values))
    except ValidationError as error:
        faults = [
            Fault(".".join(str(part) for part in each["loc"] if part not in kinds()) or "component_type", each["msg"])
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise UnprocessableError(faults) from None
