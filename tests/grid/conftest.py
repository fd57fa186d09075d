"""A hub with a grid."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest
import sqlalchemy as sa
import uvloop

from tests.support.databases import Place
from tests.support.hub import Answer, RunningHub, running_hub, settings_at

LINE = {"component_type": "LINE", "name": "L1", "substation": "North", "length_km": 10, "voltage_kv": 110}


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of production."""
    return {"uvloop": uvloop.new_event_loop}


class Grid:
    """A hub and an app with a token."""

    def __init__(self, hub: RunningHub) -> None:
        self.hub = hub
        self._tokens: dict[str, str] = {}

    async def call(
        self, method: str, path: str, body: Any = None, *, scope: str = "manager", raw: bytes | None = None, **more: Any
    ) -> Answer:
        """A request of an app with a scope; names of headers are spelt with ``_`` for ``-``."""
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        headers: dict[str, str] = {"Content_Type": "application/json", **more}
        fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        if scope:
            if scope not in self._tokens:
                self._tokens[scope] = (await self.hub.token(scope, app=scope.replace(":", "-"))).text
            fields.append((b"Token", self._tokens[scope].encode()))
        return await self.hub.ask(path.encode(), method=method.encode(), headers=fields, body=content)

    async def get(self, path: str, **more: Any) -> Any:
        """What a GET answers, which must succeed."""
        answer = await self.call("GET", path, **more)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    async def add(self, **fields: Any) -> int:
        """The id of a new component, a line unless said."""
        answer = await self.call("POST", "/api/components", {**LINE, **fields})
        assert answer.status == 201, answer.body
        return int(json.loads(answer.body)["id"])

    async def measure(self, component: int, timestamp: str, value: float, kind: str = "POWER") -> Answer:
        body = {"component_id": component, "timestamp": timestamp, "value": value, "measurement_type": kind}
        return await self.call("POST", "/api/measurements", body)


@pytest.fixture
async def grid(place: Place) -> AsyncIterator[Grid]:
    """On each database."""
    async with running_hub(settings_at(place)) as hub:
        yield Grid(hub)


@pytest.fixture
def engine(place: Place) -> Iterator[sa.Engine]:
    """For work without a hub."""
    made = place.engine()
    yield made
    made.dispose()
