"""The hub with one more feature: a door whose service writes an entry of the audit trail. Started by ``intake.py``.

``python bench/durable_hub.py PORT FOLDER``; the token that the door wants is left in ``FOLDER/token``.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection

from signalbox.app.features import Feature
from signalbox.app.hub import open_context
from signalbox.app.load import Sources, load
from signalbox.app.server import listen, prepare, run
from signalbox.app.settings import Settings
from signalbox.auth import audit, service
from signalbox.auth.doors import Accepted, Door
from signalbox.auth.principal import Principal
from signalbox.auth.security import Guard
from signalbox.infra.context import Context

SCOPE = "assistance"


class Noted(msgspec.Struct):
    """What is posted."""

    id: str
    actor: str
    action: str
    target: str
    note: str


def main() -> None:
    """Serve until SIGTERM."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    settings = load({"port": port, "data_dir": folder / "data", "log": {"level": "warning"}}, Sources())
    prepare(settings)
    (folder / "token").write_text(asyncio.run(_make_token(settings)))
    run(settings, listen(settings.host, port), reload=lambda: settings, extra=[_feature])


def _feature(_context: Context, _settings: Settings, _guard: Guard) -> Feature:
    door = Door(
        method="POST", path="/api/notes", scope=SCOPE, body=Noted, handle=_note, summary="Note", answer=dict[str, Any]
    )
    return Feature("bench", doors=[door])


def _note(tx: Connection, body: Noted, principal: Principal, now: int) -> Accepted:
    after = {"id": body.id, "note": body.note, "app": principal.app}
    audit.record(tx, actor=body.actor, action=body.action, target=body.target, before=None, after=after, at=now)
    return Accepted(201, {"id": body.id})


async def _make_token(settings: Settings) -> str:
    async with open_context(settings) as context:
        issued = await context.db.write(
            service.create_token, app="bench", scopes=[SCOPE], expires_at=None, actor="bench", at=context.clock.now()
        )
    return issued.text


if __name__ == "__main__":
    main()
