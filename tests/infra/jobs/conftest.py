from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.jobs import VERSIONS, Desk, open_desk, place_of


@pytest.fixture(params=VERSIONS)
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    """An empty queue of each version."""
    async with open_desk(request.param, place_of(request, request.param, tmp_path)) as opened:
        yield opened


@pytest.fixture
async def memory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    """An empty queue in memory: for what is the same over every version."""
    async with open_desk("memory", place_of(request, "memory", tmp_path)) as opened:
        yield opened
