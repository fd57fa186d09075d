"""The hub's own paths: which they are, and who answers at each."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote

from starlette.routing import compile_path

from signalbox.core.asgi import AsgiApp
from signalbox.gateway.paths import decode_needless

_PERCENT = ord("%")


class Endpoint(NamedTuple):
    """A raw ASGI application at a path."""

    app: AsgiApp
    parameters: Mapping[str, str]
    """Values of the parameters in the path."""


@dataclass(frozen=True, slots=True)
class OwnPath:
    """A path as it was registered, and the methods that it takes."""

    path: str
    methods: frozenset[str]
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict, compare=False)
    """By method; methods that have none are FastAPI's."""


class _Template(NamedTuple):
    """One registration."""

    pattern: re.Pattern[str]
    methods: frozenset[str]
    apps: Mapping[str, AsgiApp]


class OwnPaths:
    """Finds own paths: those without parameters by one look into a dictionary, the others by their first segments.

    ``templates`` are all paths with their methods. ``endpoints`` are the raw applications among them, by method and
    template. The first segment of a template is no parameter. Where several take a method at a path, one without
    parameters goes first, then one whose second segment is no parameter, then the one that was named first.
    """

    def __init__(
        self,
        templates: Iterable[tuple[str, Iterable[str]]],
        endpoints: Mapping[tuple[str, str], AsgiApp] = MappingProxyType({}),
    ) -> None:
        self._plain: dict[str, list[_Template]] = {}
        self._open: dict[bytes, list[_Template]] = {}
        for path, methods in templates:
            template = _to_template(path, frozenset(methods), endpoints)
            if "{" in path:
                self._open.setdefault(_beginning_of_template(path), []).append(template)
            else:
                self._plain.setdefault(path, []).append(template)
        self._endpoints = endpoints
        self._first = {path.encode().split(b"/")[1] for path in self._plain} | {
            each.split(b"/")[1] for each in self._open
        }
        self._known: dict[bytes, OwnPath] = {}
        for path in [each for plain in self._plain for each in (plain, _toggled(plain))]:
            found = self._search(path)
            if found is not None:
                self._known[path.encode()] = found

    def find(self, raw_path: bytes) -> OwnPath | None:
        """The path, a slash at its end added or removed where needed; None where it is not own."""
        found = self._known.get(raw_path)
        if found is not None:
            return found
        if _PERCENT not in raw_path and raw_path.partition(b"/")[2].partition(b"/")[0] not in self._first:
            return None  # as nearly all calls through the gateway
        raw_path = decode_needless(raw_path)
        return self._known.get(raw_path) or self._search(raw_path.decode("ascii"))

    def beginnings_of(self, wanted: Callable[[AsgiApp], bool]) -> set[bytes]:
        """The templates of some raw applications, each up to its first parameter."""
        found = (path for (_, path), app in self._endpoints.items() if wanted(app))
        return {path.partition("{")[0].encode() for path in found}

    def _search(self, path: str) -> OwnPath | None:
        templates = self._candidates(path.encode())
        for each in (path, _toggled(path)):
            matches = [_Match(template, {}) for template in self._plain.get(each, ())]
            matches += filter(None, (_match(template, each) for template in templates))
            if matches:
                return _to_own_path(each, matches)
        return None

    def _candidates(self, path: bytes) -> list[_Template]:
        """Templates that begin as the path does."""
        first, second = _beginnings(path)
        return [*self._open.get(second, ()), *self._open.get(first, ())]


class _Match(NamedTuple):
    template: _Template
    parameters: Mapping[str, str]


def _match(template: _Template, path: str) -> _Match | None:
    match = template.pattern.match(path)
    if match is None:
        return None
    return _Match(template, {name: unquote(value) for name, value in match.groupdict().items()})


def _to_template(path: str, methods: frozenset[str], endpoints: Mapping[tuple[str, str], AsgiApp]) -> _Template:
    apps = {method: endpoints[method, path] for method in methods if (method, path) in endpoints}
    if "GET" in methods:
        methods |= {"HEAD"}
        if "GET" in apps:
            apps.setdefault("HEAD", apps["GET"])
    return _Template(compile_path(path)[0], methods, apps)


def _to_own_path(path: str, matches: list[_Match]) -> OwnPath:
    endpoints: dict[str, Endpoint] = {}
    methods: set[str] = set()
    for template, parameters in matches:
        for method in template.methods - methods:
            if method in template.apps:
                endpoints[method] = Endpoint(template.apps[method], parameters)
        methods |= template.methods
    return OwnPath(path, frozenset(methods), endpoints)


def _toggled(path: str) -> str:
    """The path with the slash at its end removed, or added."""
    return path[:-1] if path.endswith("/") else path + "/"


def _beginning_of_template(path: str) -> bytes:
    """The first two segments of a template, the first alone where the second has a parameter."""
    first, second = _beginnings(path.encode())
    return first if b"{" in second else second


def _beginnings(path: bytes) -> tuple[bytes, bytes]:
    """The first segment of a path, and the first two, as in ``/api`` and ``/api/tasks``."""
    parts = path.split(b"/", 3)
    return b"/" + parts[1], b"/".join(parts[:3])
