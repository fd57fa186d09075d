"""API documentation pages whose scripts and styles are served by the hub itself, for closed networks."""

from importlib.resources import as_file, files

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from signalbox.core.errors import NotFoundError

_ASSETS = {
    "swagger-ui-bundle.js": ("swagger/swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": ("swagger/swagger-ui.css", "text/css"),
    "redoc.standalone.js": ("redoc/redoc.standalone.js", "text/javascript"),
}
"""Files in the package ``fastapi-standalone-docs``, which carries Swagger UI and ReDoc with their licences."""


class UnknownAssetError(NotFoundError):
    """The documentation pages have no such file."""

    code = "unknown_asset"


def build_router(title: str) -> APIRouter:
    """``/docs`` (Swagger UI), ``/redoc`` and their files; every address respects the root path."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def swagger(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title=f"{title} API",
            swagger_js_url=f"{root}/docs/assets/swagger-ui-bundle.js",
            swagger_css_url=f"{root}/docs/assets/swagger-ui.css",
            swagger_favicon_url=f"{root}/docs/assets/favicon.svg",
            swagger_ui_parameters={"tryItOutEnabled": True},
        )

    @router.get("/redoc")
    async def redoc(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return get_redoc_html(
            openapi_url=f"{root}/openapi.json",
            title=f"{title} API",
            redoc_js_url=f"{root}/docs/assets/redoc.standalone.js",
            redoc_favicon_url=f"{root}/docs/assets/favicon.svg",
            with_google_fonts=False,
        )

    @router.get("/docs/assets/{name}")
    async def asset(name: str) -> FileResponse:
        if name == "favicon.svg":
            source, media_type = files("signalbox.app") / "static" / name, "image/svg+xml"
        elif name in _ASSETS:
            place, media_type = _ASSETS[name]
            source = files("fastapi_standalone_docs") / "static" / place
        else:
            msg = f"there is no file {name}"
            raise UnknownAssetError(msg)
        with as_file(source) as path:
            return FileResponse(path, media_type=media_type, headers={"Cache-Control": "public, max-age=86400"})

    return router
