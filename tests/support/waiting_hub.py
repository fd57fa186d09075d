"""A hub with one more feature: doors of every kind, polls, a long poll and a stream.

``python -m tests.support.waiting_hub`` serves it with the settings of its environment, as ``signalbox serve`` would.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from signalbox.app.features import Feature
from signalbox.app.hub import upgrade_databases
from signalbox.app.load import Sources, load
from signalbox.app.server import listen, run
from signalbox.app.settings import Settings
from signalbox.auth.doors import Accepted, Asked, Door, Parameter, Poll
from signalbox.auth.principal import Principal
from signalbox.auth.security import Guard
from signalbox.core.asgi import Receive, Scope, Send, answer
from signalbox.core.errors import ForbiddenError, NotFoundError
from signalbox.core.logging import configure_logging
from signalbox.core.sse import Mailbox, ServerSentEvent, serve_events
from signalbox.core.waiters import Waiters
from signalbox.infra.context import Context
from tests.support.durable_hub import Kept, Note, create_table, keep, notes

SECRET = b"a hook's secret"
SCOPE, READ = "tasks:write", "tasks:read"


class WrongSignatureError(ForbiddenError):
    code = "wrong_signature"


class NoSuchHookError(NotFoundError):
    code = "no_such_hook"


def sign(content: bytes) -> bytes:
    return hmac.new(SECRET, content, hashlib.sha256).hexdigest().encode()


async def check_hook(asked: Asked) -> Note:
    """What a bot sends, checked by its signature; the note tells all that a door may look at."""
    if asked.path["name"] == "unknown":
        msg = "there is no such hook"
        raise NoSuchHookError(msg)
    if not hmac.compare_digest(dict(asked.headers).get(b"x-signature", b""), sign(asked.body)):
        msg = "the signature does not hold"
        raise WrongSignatureError(msg)
    return Note(f"{asked.path['name']} {asked.query.decode()} {asked.body.decode()} {asked.principal.actor}")


async def name_note(asked: Asked) -> Note:
    return Note(f"{asked.path['name']}: {asked.body.text}")


def forget(tx: sa.Connection, _body: None, _principal: Principal, _now: int) -> Accepted:
    tx.execute(notes.delete())
    return Accepted(204, None, headers=[(b"x-forgotten", b"all")])


@dataclass
class World:
    """What the polls look at."""

    context: Context
    waiters: Waiters[str, bytes]
    level: bytes = b"{}"
    streams: int = 0
    heard: list[str | None] = field(default_factory=list)

    async def now(self, scope: Scope, _receive: Receive, send: Send, _principal: Principal) -> None:
        await self._answer(scope, send, self.level)

    async def named(self, scope: Scope, _receive: Receive, send: Send, principal: Principal) -> None:
        said = {"name": scope["path_params"]["name"], "by": principal.actor}
        await self._answer(scope, send, json.dumps(said).encode())

    async def waiting(self, scope: Scope, _receive: Receive, send: Send, _principal: Principal) -> None:
        """How many wait."""
        await self._answer(scope, send, b"%d" % (len(self.waiters) + self.streams))

    async def change(self, scope: Scope, receive: Receive, send: Send, _principal: Principal) -> None:
        """Wait for the next level, ``{}`` if none comes in 30 s."""
        with self.waiters.join("level") as waiter:
            news = await waiter.wait(30.0, receive=receive)
        await self._answer(scope, send, news or b"{}")

    async def stream(self, scope: Scope, receive: Receive, send: Send, _principal: Principal) -> None:
        mailbox = Mailbox()

        def hear(message: str | None) -> None:
            mailbox.put(ServerSentEvent(message or "look", id=message))

        stop = self.context.broadcast.subscribe("test", hear)
        self.streams += 1
        try:
            await serve_events(scope, receive, send, mailbox, drain=self.context.drain)
        finally:
            stop()
            self.streams -= 1

    async def fail(self, _scope: Scope, _receive: Receive, _send: Send, _principal: Principal) -> None:
        msg = "what nobody outside may read"
        raise RuntimeError(msg)

    def say(self, tx: sa.Connection, note: Note, principal: Principal, now: int) -> Accepted:
        """A note that all streams hear of."""
        accepted = keep(tx, note, principal, now)
        self.context.broadcast.publish(tx, "test", note.text)
        return accepted

    async def _answer(self, scope: Scope, send: Send, body: bytes) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await answer(scope, send, status=200, headers=headers, body=body)


class Makes:
    """The factory; keeps the world that it made."""

    world: World

    def __call__(self, context: Context, _settings: Settings, _guard: Guard) -> Feature:
        self.world = World(context, Waiters(context.drain))
        return Feature("waiting", doors=_doors(self.world), polls=_polls(self.world))


def _doors(world: World) -> list[Door[Any]]:
    return [
        Door[Note](
            method="POST",
            path="/api/test/once",
            scope=SCOPE,
            body=Note,
            handle=keep,
            summary="Keep a note once",
            answer=Kept,
            idempotent=True,
            tags=("test",),
        ),
        Door[Note](
            method="POST",
            path="/api/test/said",
            scope=SCOPE,
            body=Note,
            handle=world.say,
            summary="Tell all streams",
            answer=Kept,
            tags=("test",),
        ),
        Door[Note](
            method="PUT",
            path="/api/test/named/{name}",
            scope=SCOPE,
            body=Note,
            prepare=name_note,
            handle=keep,
            summary="Keep a note with a name",
            answer=Kept,
            idempotent=True,
            tags=("test",),
        ),
        Door[Any](
            method="POST",
            path="/api/test/hooks/{name}",
            scope=None,
            body=bytes,
            prepare=check_hook,
            handle=keep,
            summary="Take what a bot sends",
            answer=Kept,
            parameters=[Parameter("X-Signature", "header", "HMAC-SHA256 of the body", required=True)],
            responses={403: "The signature does not hold", 404: "There is no such hook"},
            max_body=500,
            tags=("test",),
        ),
        Door[None](
            method="DELETE",
            path="/api/test/once",
            scope=SCOPE,
            body=None,
            handle=forget,
            summary="Forget all",
            answer=None,
            status=204,
            tags=("test",),
        ),
    ]


def _polls(world: World) -> list[Poll]:
    return [
        Poll(path="/api/test/level", scope=READ, handle=world.now, summary="The level", answer=dict, tags=("test",)),
        Poll(
            path="/api/test/named/{name}",
            scope=None,
            handle=world.named,
            summary="A name",
            answer=Kept,
            parameters=[Parameter("wait", "query", "Seconds to wait", kind="number")],
            responses={400: "The name is odd"},
            tags=("test",),
        ),
        Poll(path="/api/test/named/level", scope=READ, handle=world.now, summary="Level", answer=dict, tags=("test",)),
        Poll(
            path="/api/test/waiting", scope=None, handle=world.waiting, summary="Who waits", answer=int, tags=("test",)
        ),
        Poll(path="/api/test/change", scope=None, handle=world.change, summary="Change", answer=dict, tags=("test",)),
        Poll(
            path="/api/test/stream",
            scope=None,
            handle=world.stream,
            summary="Changes",
            answer=str,
            media_type="text/event-stream",
            tags=("test",),
        ),
        Poll(path="/api/test/fail", scope=None, handle=world.fail, summary="Fail", answer=None, tags=("test",)),
    ]


def main() -> None:
    settings = load({}, Sources.of_process())
    configure_logging(settings.log)
    upgrade_databases(settings)
    create_table(settings)
    listener = listen(settings.host, settings.port)
    address, port = listener.getsockname()[:2]
    print(f'{{"event": "serving", "address": "http://{address}:{port}"}}', flush=True)  # noqa: T201 - read by the test
    run(settings, listener, reload=lambda: settings, extra=[Makes()])


if __name__ == "__main__":
    main()
