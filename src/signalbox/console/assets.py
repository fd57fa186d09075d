"""Scripts and styles, served from memory under addresses that hold their content's hash, so that they never grow old."""

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from signalbox.console.errors import UnknownPageError

CACHED_FOR_EVER = "public, max-age=31536000, immutable"

_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
"""Endings of files that browsers get; licences and notes stay where they are."""


BUNDLES: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "pages.css": ("vendor/uplot-1.6.32/uPlot.min.css", "console.css"),
        "pages.js": (
            "vendor/htmx.org-2.0.11/htmx.min.js",
            "vendor/uplot-1.6.32/uPlot.iife.min.js",
            "console.js",
            "charts.js",
        ),
    }
)
"""Files that browsers get as one, in this order: in a new tab each request delays the first paint."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    body: bytes
    compressed: bytes
    """With gzip."""
    media_type: str
    digest: str
    """The beginning of the SHA-256 of ``body``."""


class Assets:
    """All files below ``static``, by their paths."""

    def __init__(self, found: Mapping[str, Asset] | None = None) -> None:
        self._found = _load() if found is None else dict(found)

    def path(self, name: str) -> str:
        """The path of a file below ``/console``.

        Raises:
            KeyError: there is none of this name.
        """
        return f"/static/{self._found[name].digest}/{name}"

    def answer(self, request: Request, digest: str, name: str) -> Response:
        """The file.

        Raises:
            UnknownPageError: there is none of this name, or it has changed since the page was made.
        """
        asset = self._found.get(name)
        if asset is None or asset.digest != digest:
            msg = f"there is no file {name[:200]} of this version; load the page again"
            raise UnknownPageError(msg)
        headers = {"Cache-Control": CACHED_FOR_EVER, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(
                asset.compressed, media_type=asset.media_type, headers={**headers, "Content-Encoding": "gzip"}
            )
        return Response(asset.body, media_type=asset.media_type, headers=headers)


def to_asset(name: str, body: bytes) -> Asset:
    """A file that browsers get under this name."""
    media_type = _TYPES[name[name.rindex(".") :]]
    return Asset(body, gzip.compress(body, mtime=0), media_type, hashlib.sha256(body).hexdigest()[:16])


def _load() -> dict[str, Asset]:
    found: dict[str, Asset] = {}
    _collect(files("signalbox.console") / "static", "", found)
    for name, parts in BUNDLES.items():
        found[name] = to_asset(name, b"\n".join(found.pop(part).body for part in parts))
    return found


def _collect(folder: Traversable, prefix: str, found: dict[str, Asset]) -> None:
    for each in folder.iterdir():
        name = f"{prefix}{each.name}"
        if each.is_dir():
            _collect(each, f"{name}/", found)
        elif name.endswith(tuple(_TYPES)):
            found[name] = to_asset(name, each.read_bytes())
