"""A hub for simulated apps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.databases import SqliteTemplate
from tests.support.hub import RunningHub, running_hub, settings_at


@asynccontextmanager
async def hub_for_apps(template: SqliteTemplate, folder: Path) -> AsyncIterator[tuple[RunningHub, str]]:
    """A hub, and a token for any app."""
    async with running_hub(settings_at(template.copy_to(folder))) as hub:
        token = await hub.token("criticality:read", "criticality:write", app=None, any_app=True)
        yield hub, token.text
