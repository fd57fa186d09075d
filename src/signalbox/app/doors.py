"""Runs the doors that features declare."""

import re
from typing import Any

import msgspec
from sqlalchemy import Connection

from signalbox.app.body import check_length, declared_length
from signalbox.auth.doors import Accepted, Asked, Door
from signalbox.auth.principal import Principal
from signalbox.auth.runtime import AuthRuntime
from signalbox.core.asgi import Receive, Scope, Send, answer
from signalbox.core.errors import Fault, InvalidError, UnprocessableError
from signalbox.infra.context import Context
from signalbox.infra.idempotency import REPLAYED, KeyedRequest, StoredAnswer, answer_once, keyed

NO_CONTENT = 204

_NAMED = re.compile(r"Object (?:missing required|contains unknown) field `(.+)`")
"""Complaints of msgspec that stand at the object and name the field in their words."""

_ENCODER = msgspec.json.Encoder()


class InvalidJsonError(InvalidError):
    """The body is not JSON."""

    code = "invalid_json"


class DoorRunner:
    """One door as a raw ASGI application."""

    def __init__(self, door: Door[Any], context: Context, auth: AuthRuntime) -> None:
        self._door, self._context, self._auth = door, context, auth
        self._decoder = None if door.body in {None, bytes} else msgspec.json.Decoder(door.body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; expected failures are raised for the caller to answer."""
        door, headers = self._door, scope["headers"]
        principal = self._auth.anonymous if door.scope is None else await self._principal(headers, door.scope)
        content = b"" if door.body is None else await self._read(headers, receive)
        body, now = self._decode(content), self._context.clock.now()
        if door.prepare is not None:
            path, query, request_id = (
                scope["path_params"],
                scope["query_string"],
                scope.get("state", {}).get("request_id"),
            )
            body = await door.prepare(Asked(principal, body, path, query, headers, now, request_id))
        request = self._keyed(scope, principal, content) if door.idempotent else None
        given, replayed = await self._context.db.write(self._run, request, body, principal, now)
        await self._answer(scope, send, given, replayed=replayed)

    def _run(
        self, tx: Connection, request: KeyedRequest | None, body: Any, principal: Principal, now: int
    ) -> tuple[StoredAnswer, bool]:
        """In the transaction. What cannot be encoded fails here, where it undoes what was done."""
        if request is None:
            return _encode(self._door.handle(tx, body, principal, now)), False
        return answer_once(tx, request, lambda tx: _encode(self._door.handle(tx, body, principal, now)), now=now)

    async def _answer(self, scope: Scope, send: Send, given: StoredAnswer, *, replayed: bool) -> None:
        headers = []
        if given.status != NO_CONTENT:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(given.body))]
        root = scope.get("root_path", "")
        for name, value in given.headers:
            headers.append((name.encode(), (root + value if name == "location" else value).encode("latin-1")))
        if replayed:
            headers.append(REPLAYED)
        await answer(scope, send, status=given.status, headers=headers, body=given.body)

    async def _principal(self, headers: list[tuple[bytes, bytes]], needed: str) -> Principal:
        principal = await self._auth.authenticate(headers)
        self._auth.require(principal, needed)
        return principal

    def _keyed(self, scope: Scope, principal: Principal, content: bytes) -> KeyedRequest | None:
        door = self._door
        target = scope["raw_path"].rstrip(b"/") + b"?" + scope["query_string"]
        return keyed(
            scope["headers"],
            caller=principal.actor,
            method=door.method,
            template=door.path,
            target=target,
            body=content,
        )

    async def _read(self, headers: list[tuple[bytes, bytes]], receive: Receive) -> bytes:
        limit = self._door.max_body
        check_length(declared_length(headers), limit)
        pieces, length, more = list[bytes](), 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                msg = "the client left before its request was whole"
                raise InvalidJsonError(msg)
            pieces.append(message.get("body", b""))
            length += len(pieces[-1])
            check_length(length, limit)
            more = message.get("more_body", False)
        return b"".join(pieces)

    def _decode(self, content: bytes) -> Any:
        if self._decoder is None:
            return None if self._door.body is None else content
        try:
            return self._decoder.decode(content)
        except msgspec.ValidationError as error:
            raise UnprocessableError([_to_fault(str(error))]) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"the body is not JSON: {error}"
            raise InvalidJsonError(msg) from None
        except RecursionError:
            msg = "the body is nested too deeply"
            raise InvalidJsonError(msg) from None


def _encode(accepted: Accepted) -> StoredAnswer:
    body = b"" if accepted.status == NO_CONTENT else _ENCODER.encode(accepted.body)
    headers = [] if accepted.location is None else [("location", accepted.location)]
    headers += [(name.decode(), value.decode("latin-1")) for name, value in accepted.headers]
    return StoredAnswer(accepted.status, body, tuple(headers))


def _to_fault(said: str) -> Fault:
    """What msgspec says, such as ``Expected `int`, got `str` - at `$.number```, with the field's name before it."""
    message, _, place = said.partition(" - at ")
    path = place.strip("`").removeprefix("$")
    named = _NAMED.match(message)
    if named is not None:
        path += f".{named[1]}"
    return Fault(path.lstrip(".") or "body", message)
