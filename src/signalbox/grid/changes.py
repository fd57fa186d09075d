"""Things made of fields that somebody named: all of them, or some beside those that stay."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from signalbox.core.errors import Fault, UnprocessableError

Model = TypeVar("Model", bound=BaseModel)


def make(model: type[Model], values: Mapping[str, Any]) -> Model:
    """What these fields describe; null stands for a field's default.

    Raises:
        UnprocessableError: they describe none.
    """
    try:
        return model.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        told = error.errors(include_url=False, include_context=False, include_input=False)
        faults = [Fault(".".join(map(str, each["loc"])) or "body", each["msg"]) for each in told]
        raise UnprocessableError(faults) from None


def merge(current: Model, given: Mapping[str, Any]) -> Model:
    """What comes out when ``given`` replaces fields of ``current``; null gives a field its default.

    Raises:
        UnprocessableError: that is no such thing.
    """
    return make(type(current), {**current.model_dump(exclude_defaults=True), **given})
