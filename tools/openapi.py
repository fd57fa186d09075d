"""Writes the OpenAPI document of the API to docs/reference/openapi.json, which a test compares: ``make openapi``.

The document is that of a hub in the role ``all``. It is committed so that every change of the API shows in review.
"""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from signalbox.app.api import build_api
from signalbox.app.hub import open_hub, upgrade_databases
from signalbox.app.load import Sources, load

SNAPSHOT = Path(__file__).parent.parent / "docs/reference/openapi.json"


async def current() -> dict[str, Any]:
    """The document as the code has it."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load({"data_dir": folder}, Sources())
        upgrade_databases(settings)
        async with open_hub(settings) as hub:
            return build_api(hub.served).openapi()


def to_text(document: dict[str, Any]) -> str:
    """The document as it is committed."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the file."""
    SNAPSHOT.parent.mkdir(parents=True, exist_ok=True)
    SNAPSHOT.write_text(to_text(asyncio.run(current())), encoding="utf-8")
    print(f"{SNAPSHOT} is written; look at what changed with: git diff {SNAPSHOT}")


if __name__ == "__main__":
    main()
