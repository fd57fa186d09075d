from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.app.conftest import Site, open_site
from tests.support.databases import Place
from tests.support.hub import settings_at
from tests.support.waiting_hub import SCOPE, Makes


@pytest.fixture
async def site(sqlite_place: Place) -> AsyncIterator[Site]:
    async with open_site(settings_at(sqlite_place), extra=[Makes()]) as opened:
        yield opened


@pytest.fixture
async def paths(site: Site) -> dict[str, Any]:
    document = (await site.client.get("/openapi.json")).json()
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
    found: dict[str, Any] = document["paths"]
    return found


def parameters(operation: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    return {each["name"]: (each["in"], each["required"]) for each in operation["parameters"]}


async def test_an_idempotent_door_names_its_header_and_what_may_come_of_it(paths: dict[str, Any]) -> None:
    operation = paths["/api/test/once"]["post"]
    assert parameters(operation) == {"Idempotency-Key": ("header", False)}
    assert set(operation["responses"]) == {"201", "400", "401", "403", "409", "413", "422", "503"}


async def test_a_door_names_the_parameters_of_its_path(paths: dict[str, Any]) -> None:
    operation = paths["/api/test/named/{name}"]["put"]
    assert parameters(operation)["name"] == ("path", True)
    assert operation["security"] == [{"OAuth2PasswordBearer": [SCOPE]}, {"APIKeyHeader": []}]


async def test_a_hook_asks_for_no_token_and_takes_any_body(paths: dict[str, Any]) -> None:
    operation = paths["/api/test/hooks/{name}"]["post"]
    assert "security" not in operation
    assert parameters(operation) == {"name": ("path", True), "X-Signature": ("header", True)}
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {}
    assert operation["responses"]["403"]["description"] == "The signature does not hold"
    assert "401" not in operation["responses"]


async def test_a_door_without_bodies_says_so(paths: dict[str, Any]) -> None:
    operation = paths["/api/test/once"]["delete"]
    assert "requestBody" not in operation
    assert "content" not in operation["responses"]["204"]
    assert set(operation["responses"]) == {"204", "401", "403", "503"}


async def test_a_poll_is_described(paths: dict[str, Any]) -> None:
    operation = paths["/api/test/named/{name}"]["get"]
    assert parameters(operation) == {"name": ("path", True), "wait": ("query", False)}
    said = next(each for each in operation["parameters"] if each["name"] == "wait")
    assert (said["schema"], said["description"]) == ({"type": "number"}, "Seconds to wait")
    content = operation["responses"]["200"]["content"]
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Kept"}
    assert set(operation["responses"]) == {"200", "400"}
    guarded = paths["/api/test/level"]["get"]
    assert set(guarded["responses"]) == {"200", "401", "403"}
    assert guarded["security"]


async def test_a_stream_has_the_type_of_its_events(paths: dict[str, Any]) -> None:
    content = paths["/api/test/stream"]["get"]["responses"]["200"]["content"]
    assert content == {"text/event-stream": {"schema": {"type": "string"}}}
