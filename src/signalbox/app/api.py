"""The FastAPI application, and the ASGI application around it."""

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

import signalbox
from signalbox.app import docs, doors, errors
from signalbox.app.features import Feature
from signalbox.auth.doors import Door

TITLE = "Signalbox"

_DESCRIPTION = "Everything between a company's apps, its people and other people's APIs."


def build_api(features: Sequence[Feature]) -> FastAPI:
    """All routes of the features, their doors described beside them, and the documentation pages."""
    api = _Api(
        all_doors(features),
        title=TITLE,
        version=signalbox.__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"4XX": {"model": errors.Problem, "description": "Problem details (RFC 9457)"}},
    )
    errors.install(api)
    for router in all_routers(features):
        api.include_router(router)
    return api


def all_routers(features: Sequence[Feature]) -> list[APIRouter]:
    """Routers of the features and of the documentation."""
    return [*(router for feature in features for router in feature.routers), docs.build_router(TITLE)]


def all_doors(features: Sequence[Feature]) -> list[Door[Any]]:
    """Doors of the features."""
    return [door for feature in features for door in feature.doors]


def own_paths(features: Sequence[Feature]) -> Iterable[tuple[str, Iterable[str]]]:
    """Template and methods of every path that belongs to the hub itself."""
    yield "/openapi.json", ["GET"]
    for router in all_routers(features):
        for route in router.routes:
            if not isinstance(route, APIRoute):
                msg = f"{route!r} has no path of its own; give every router to its feature, not to another router"
                raise TypeError(msg)
            yield route.path, route.methods or ()
    yield from ((door.path, [door.method]) for door in all_doors(features))


class _Api(FastAPI):
    """FastAPI with doors in its OpenAPI document."""

    def __init__(self, listed: Sequence[Door[Any]], **options: Any) -> None:
        super().__init__(**options)
        self._doors = listed

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            doors.describe(super().openapi(), self._doors)
        return super().openapi()
