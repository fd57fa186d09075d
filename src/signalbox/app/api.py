"""The FastAPI application, and the ASGI application around it."""

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

import signalbox
from signalbox.app import docs, errors
from signalbox.app.describe import describe
from signalbox.app.doors import DoorRunner
from signalbox.app.features import Feature
from signalbox.app.own_paths import OwnPaths
from signalbox.app.polls import PollRunner
from signalbox.auth.doors import Door, Poll
from signalbox.auth.runtime import AuthRuntime
from signalbox.core.asgi import AsgiApp
from signalbox.infra.context import Context

TITLE = "Signalbox"

_DESCRIPTION = "Everything between a company's apps, its people and other people's APIs."


def build_api(features: Sequence[Feature]) -> FastAPI:
    """All routes of the features, their doors and polls described beside them, and the documentation pages."""
    api = _Api(
        all_doors(features),
        all_polls(features),
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


def all_polls(features: Sequence[Feature]) -> list[Poll]:
    """Polls of the features."""
    return [poll for feature in features for poll in feature.polls]


def route(features: Sequence[Feature], context: Context, auth: AuthRuntime) -> OwnPaths:
    """All paths of the features, with what runs their doors and polls."""
    endpoints: dict[tuple[str, str], AsgiApp] = {}
    endpoints |= {(door.method, door.path): DoorRunner(door, context, auth) for door in all_doors(features)}
    endpoints |= {(poll.method, poll.path): PollRunner(poll, auth) for poll in all_polls(features)}
    return OwnPaths(own_paths(features), endpoints)


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
    yield from ((poll.path, [poll.method]) for poll in all_polls(features))


class _Api(FastAPI):
    """FastAPI with doors and polls in its OpenAPI document."""

    def __init__(self, doors: Sequence[Door[Any]], polls: Sequence[Poll], **options: Any) -> None:
        super().__init__(**options)
        self._doors, self._polls = doors, polls

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            describe(super().openapi(), self._doors, self._polls)
        return super().openapi()
