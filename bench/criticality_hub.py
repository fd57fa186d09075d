"""The hub with tokens of many apps, and a path that tells how many statements it has sent to its databases.

``python bench/criticality_hub.py PORT FOLDER APPS``; the tokens are left in ``FOLDER/tokens``, one a line.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, insert

from signalbox.app.features import Feature
from signalbox.app.hub import open_context
from signalbox.app.load import Sources, load
from signalbox.app.server import listen, prepare, run
from signalbox.app.settings import Settings
from signalbox.auth.doors import Poll
from signalbox.auth.models import app_token
from signalbox.auth.principal import Principal
from signalbox.auth.security import Guard
from signalbox.auth.tokens import VISIBLE, digest_of, new_token
from signalbox.core.asgi import Receive, Scope, Send, answer
from signalbox.infra.context import Context

STATEMENTS = "/bench/statements"
SCOPES = ("criticality:read", "criticality:write")


def main() -> None:
    """Serve until SIGTERM."""
    port, folder, apps = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    settings = load({"port": port, "data_dir": folder / "data", "log": {"level": "warning"}}, Sources())
    prepare(settings)
    (folder / "tokens").write_text("".join(f"{token}\n" for token in asyncio.run(_make_tokens(settings, apps))))
    run(settings, listen(settings.host, port), reload=lambda: settings, extra=[_feature])


def _feature(_context: Context, _settings: Settings, _guard: Guard) -> Feature:
    sent = 0

    def count(*_what: Any) -> None:
        nonlocal sent
        sent += 1

    async def tell(scope: Scope, _receive: Receive, send: Send, _principal: Principal) -> None:
        body = b"%d" % sent
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await answer(scope, send, status=200, headers=headers, body=body)

    event.listen(Engine, "before_cursor_execute", count)
    return Feature("bench", polls=[Poll(path=STATEMENTS, scope=None, handle=tell, summary="Statements", answer=int)])


async def _make_tokens(settings: Settings, apps: int) -> list[str]:
    texts = [new_token() for _ in range(apps)]
    async with open_context(settings) as context:
        await context.db.write(_insert, texts, at=context.clock.now())
    return texts


def _insert(tx: Connection, texts: list[str], *, at: int) -> None:
    """Add tokens, ten thousand in a moment: by ``create_token`` each would have its entry in the audit trail."""
    rows = [
        {
            "app": f"app-{number:05d}",
            "any_app": False,
            "prefix": text[:VISIBLE],
            "hash": digest_of(text.encode()),
            "scopes": list(SCOPES),
            "created_at": at,
            "created_by": "bench",
        }
        for number, text in enumerate(texts)
    ]
    tx.execute(insert(app_token), rows)


if __name__ == "__main__":
    main()
