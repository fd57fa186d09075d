"""Describes doors and polls in OpenAPI, beside what FastAPI writes there."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.routing import compile_path

from signalbox.auth.doors import Door, Parameter, Poll
from signalbox.infra.idempotency import HEADER

_REFERENCE = "#/components/schemas/{name}"

_REPEATABLE = Parameter(
    HEADER, "header", "A key of the caller's own, 1 to 255 characters: a repeat is answered as the first request was."
)


def describe(openapi: dict[str, Any], doors: Iterable[Door[Any]], polls: Iterable[Poll] = ()) -> None:
    """Add doors and polls to an OpenAPI document."""
    for door in doors:
        _add(openapi, door, _of_door(door, openapi))
    for poll in polls:
        if not poll.hidden:
            _add(openapi, poll, _of_poll(poll, openapi))


def _add(openapi: dict[str, Any], what: Door[Any] | Poll, operation: dict[str, Any]) -> None:
    path = compile_path(what.path)[1]
    openapi["paths"].setdefault(path, {})[what.method.lower()] = operation


def _of_door(door: Door[Any], openapi: dict[str, Any]) -> dict[str, Any]:
    parameters = [*door.parameters, *([_REPEATABLE] if door.idempotent else [])]
    responses = {"503": "The database is away; nothing was kept"}
    if door.body is not None:
        responses |= {"400": "The body is not JSON", "413": f"Body over {door.max_body} bytes"}
        responses |= {"422": "Fields missing or wrong"}
    if door.idempotent:
        responses |= {
            "409": "The first request with this key has not ended",
            "422": "Fields missing or wrong, or the key was used for another request",
        }
    operation = _operation(door, openapi, parameters, responses, said="Durable", media_type="application/json")
    if door.body is not None:
        schema = {} if door.body is bytes else _schema(door.body, openapi)
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _of_poll(poll: Poll, openapi: dict[str, Any]) -> dict[str, Any]:
    said = "From memory" if poll.request is None else "Durable"
    operation = _operation(poll, openapi, poll.parameters, {}, said=said, media_type=poll.media_type)
    if poll.request is not None:
        operation["requestBody"] = {"required": True, "content": dict(poll.request)}
    return operation


def _operation(
    what: Door[Any] | Poll,
    openapi: dict[str, Any],
    parameters: Iterable[Parameter],
    responses: Mapping[str, str],
    *,
    said: str,
    media_type: str,
) -> dict[str, Any]:
    success: dict[str, Any] = {"description": said}
    if what.answer is not None:
        success["content"] = {media_type: {"schema": _schema(what.answer, openapi)}}
    others = dict(responses)
    if what.scope is not None:
        others |= {"401": "No valid token", "403": f"The token lacks the scope {what.scope}"}
    others |= {str(status): meaning for status, meaning in what.responses.items()}
    told = {status: {"description": others[status]} for status in sorted(others)}
    operation: dict[str, Any] = {
        "tags": list(what.tags),
        "summary": what.summary,
        "operationId": _name(what),
        "responses": {str(what.status): success, **told},
    }
    listed = [*_of_path(what.path), *map(_parameter, parameters)]
    if listed:
        operation["parameters"] = listed
    if what.scope is not None:
        operation["security"] = [{"OAuth2PasswordBearer": [what.scope]}, {"APIKeyHeader": []}]
    return operation


def _schema(kind: Any, openapi: dict[str, Any]) -> dict[str, Any]:
    (schema,), components = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    openapi.setdefault("components", {}).setdefault("schemas", {}).update(components)
    return schema


def _name(what: Door[Any] | Poll) -> str:
    words = compile_path(what.path)[1].strip("/").replace("/", "_").replace("-", "_")
    return f"{what.method.lower()}_{words.replace('{', '').replace('}', '')}"


def _of_path(template: str) -> list[dict[str, Any]]:
    names = compile_path(template)[2]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _parameter(what: Parameter) -> dict[str, Any]:
    return {
        "name": what.name,
        "in": what.place,
        "required": what.required,
        "description": what.description,
        "schema": {"type": what.kind},
    }
