"""Runs the doors that features declare, and describes them in OpenAPI."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from signalbox.app.body import check_length, declared_length
from signalbox.auth.doors import Door
from signalbox.auth.principal import Principal
from signalbox.auth.runtime import AuthRuntime
from signalbox.core.asgi import Receive, Scope, Send
from signalbox.core.errors import Fault, InvalidError, UnprocessableError
from signalbox.infra.context import Context

_NAMED = re.compile(r"Object (?:missing required|contains unknown) field `(.+)`")
"""Complaints of msgspec that stand at the object and name the field in their words."""


class InvalidJsonError(InvalidError):
    """The body is not JSON."""

    code = "invalid_json"


class DoorRunner:
    """One door as a raw ASGI application."""

    def __init__(self, door: Door[Any], context: Context, auth: AuthRuntime) -> None:
        self._door, self._context, self._auth = door, context, auth
        self._decoder = msgspec.json.Decoder(door.body)
        self._encoder = msgspec.json.Encoder()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; expected failures are raised for the caller to answer."""
        principal = await self._principal(scope["headers"])
        body = self._decode(await self._read(scope["headers"], receive))
        door = self._door
        accepted = await self._context.db.write(door.handle, body, principal, self._context.clock.now())
        content = self._encoder.encode(accepted.body)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        if accepted.location is not None:
            headers.append((b"location", (scope.get("root_path", "") + accepted.location).encode()))
        await send({"type": "http.response.start", "status": accepted.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _principal(self, headers: list[tuple[bytes, bytes]]) -> Principal:
        principal = await self._auth.authenticate(headers)
        self._auth.require(principal, self._door.scope)
        return principal

    async def _read(self, headers: list[tuple[bytes, bytes]], receive: Receive) -> bytes:
        limit = self._door.max_body
        check_length(declared_length(headers), limit)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                msg = "the client left before its request was whole"
                raise InvalidJsonError(msg)
            body += message.get("body", b"")
            check_length(len(body), limit)
            more = message.get("more_body", False)
        return body

    def _decode(self, content: bytes) -> Any:
        try:
            return self._decoder.decode(content)
        except msgspec.ValidationError as error:
            raise UnprocessableError([_to_fault(str(error))]) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"the body is not JSON: {error}"
            raise InvalidJsonError(msg) from None


def _to_fault(said: str) -> Fault:
    """What msgspec says, such as ``Expected `int`, got `str` - at `$.number```, with the field's name before it."""
    message, _, place = said.partition(" - at ")
    path = place.strip("`").removeprefix("$")
    named = _NAMED.match(message)
    if named is not None:
        path += f".{named[1]}"
    return Fault(path.lstrip(".") or "body", message)


def describe(openapi: dict[str, Any], doors: Iterable[Door[Any]]) -> None:
    """Add doors to an OpenAPI document, beside what FastAPI wrote there."""
    for door in doors:
        types = [door.body, door.answer]
        schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
        openapi.setdefault("components", {}).setdefault("schemas", {}).update(components)
        openapi["paths"].setdefault(door.path, {})[door.method.lower()] = _operation(door, *schemas)


def _operation(door: Door[Any], body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "tags": list(door.tags),
        "summary": door.summary,
        "operationId": f"{door.method.lower()}_{door.path.strip('/').replace('/', '_')}",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            str(door.status): {"description": "Durable", "content": {"application/json": {"schema": answer}}},
            "400": {"description": "The body is not JSON"},
            "401": {"description": "No valid token"},
            "403": {"description": f"The token lacks the scope {door.scope}"},
            "413": {"description": f"Body over {door.max_body} bytes"},
            "422": {"description": "Fields missing or wrong"},
            "503": {"description": "The database is away; nothing was kept"},
        },
        "security": [{"OAuth2PasswordBearer": [door.scope]}, {"APIKeyHeader": []}],
    }
