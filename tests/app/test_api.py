import difflib
import json
from pathlib import Path

import pytest
from fastapi import APIRouter

import signalbox
from signalbox.app.api import build_api, own_paths
from signalbox.app.features import Feature
from signalbox.auth.security import Guard
from tests.app.conftest import Site
from tests.support.durable_hub import PATH, make_notes

SNAPSHOT = Path(__file__).parents[2] / "docs/reference/openapi.json"


def to_lines(document: object) -> list[str]:
    return json.dumps(document, indent=2, ensure_ascii=False).splitlines()


async def test_the_api_is_the_one_that_was_reviewed(site: Site) -> None:
    reviewed = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    served = (await site.client.get("/openapi.json")).json()
    changed = "\n".join(
        difflib.unified_diff(to_lines(reviewed), to_lines(served), "reviewed", "served", n=2, lineterm="")
    )
    if changed:
        pytest.fail(f"The API is another. If it shall be, run `make openapi` and commit:\n{changed}", pytrace=False)


async def test_the_document_names_product_version_and_all_paths(site: Site) -> None:
    document = (await site.client.get("/openapi.json")).json()
    assert (document["info"]["title"], document["info"]["version"]) == ("Signalbox", signalbox.__version__)
    assert {"/healthz", "/readyz", "/metrics", "/auth/token", "/auth/me", "/api/audit"} <= document["paths"].keys()
    assert {"/docs", "/redoc", "/openapi.json"}.isdisjoint(document["paths"])


async def test_each_operation_is_of_one_kind(site: Site) -> None:
    document = (await site.client.get("/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert [operation["operationId"] for operation in operations if len(operation["tags"]) != 1] == []


async def test_own_paths_are_those_of_routers_and_doors(site: Site) -> None:
    hub = site.running.hub
    features = [*hub.served, make_notes(hub.context, hub.settings, Guard(hub.auth))]
    listed = dict(own_paths(features))
    assert set(listed["/auth/token"]) == {"POST"}
    assert set(listed["/docs/assets/{name}"]) == {"GET"}
    assert set(listed[PATH]) == {"POST"}


def test_a_router_inside_a_router_is_refused() -> None:
    outer, inner = APIRouter(), APIRouter()

    @inner.get("/hidden")
    async def hidden() -> None: ...

    outer.include_router(inner)
    with pytest.raises(TypeError, match="give every router to its feature"):
        list(own_paths([Feature("hiding", [outer])]))


def test_an_api_may_be_empty() -> None:
    assert build_api([]).openapi()["paths"] == {}
