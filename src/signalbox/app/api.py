"""The FastAPI application, and the ASGI application around it."""

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI

import signalbox
from signalbox.app import docs, doors, errors
from signalbox.app.features import Feature
from signalbox.auth.doors import Door

TITLE = "Signalbox"
MAX_BODY = 1024 * 1024

_DESCRIPTION = "Everything between a company's apps, its people and other people's APIs."


def build_api(features: Sequence[Feature]) -> FastAPI:
    """All routes of the features, their doors described beside them, and the documentation pages."""
    api = FastAPI(
        title=TITLE,
        version=signalbox.__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        max_body_size=MAX_BODY,
    )
    errors.install(api)
    for router in all_routers(features):
        api.include_router(router)
    _describe_doors(api, all_doors(features))
    return api


def all_routers(features: Sequence[Feature]) -> list[APIRouter]:
    """Routers of the features and of the documentation."""
    return [*(router for feature in features for router in feature.routers), docs.build_router(TITLE)]


def all_doors(features: Sequence[Feature]) -> list[Door[Any]]:
    """Doors of the features."""
    return [door for feature in features for door in feature.doors]


def own_paths(features: Sequence[Feature]) -> Iterable[str]:
    """Templates of every path that belongs to the hub itself."""
    yield "/openapi.json"
    for router in all_routers(features):
        yield from (route.path for route in router.routes if hasattr(route, "path"))
    yield from (door.path for door in all_doors(features))


def _describe_doors(api: FastAPI, listed: Sequence[Door[Any]]) -> None:
    generate = api.openapi

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            doors.describe(generate(), listed)
        return generate()

    api.openapi = openapi  # type: ignore[method-assign] - FastAPI's documented way to extend the document
