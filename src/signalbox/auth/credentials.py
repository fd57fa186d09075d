"""Which credential a request carries."""

import base64
import binascii
import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from signalbox.auth.errors import AppNameRequiredError, InvalidAppNameError, InvalidTokenError
from signalbox.auth.jwt import JWT_PREFIX
from signalbox.auth.tokens import TOKEN_PREFIX

TOKEN_HEADER: Final = "Token"  # noqa: S105 - the name of a header
APP_HEADER: Final = "App-name"

_TOKEN: Final = TOKEN_HEADER.lower().encode()
_APP: Final = APP_HEADER.lower().encode()
_AUTHORIZATION: Final = b"authorization"
_APP_NAME: Final = re.compile(r"[!-~]([ -~]{0,98}[!-~])?")


_OURS: Final = re.compile(
    rb"(?<![A-Za-z0-9_-])(?:%b[A-Za-z0-9_-]{40}(?![A-Za-z0-9_-])|%b)" % (TOKEN_PREFIX, re.escape(JWT_PREFIX))
)
"""One of our tokens as a whole word: another's random text does not pass for it."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A token of whatever kind, and the app that its bearer names."""

    token: bytes
    app_name: bytes | None = None


def holds_ours(value: bytes) -> bool:
    """Whether a header value holds a token that this service issued, however it is wrapped; also inside Basic."""
    scheme, _, encoded = value.partition(b" ")
    inside = b""
    if scheme.lower() == b"basic":
        with contextlib.suppress(binascii.Error):
            inside = base64.b64decode(encoded.strip(), validate=True)
    return _OURS.search(value) is not None or _OURS.search(inside) is not None


def is_ours(token: bytes) -> bool:
    """Whether a bearer token looks like one that this service issued, and not like one meant for an upstream."""
    return token.startswith((TOKEN_PREFIX, JWT_PREFIX))


def find_credential(headers: Iterable[tuple[bytes, bytes]]) -> Credential | None:
    """The credential among ASGI headers (names in lower case); None where there is none.

    Where a request carries several, one that this service issued goes before one that may be meant for an upstream.

    Raises:
        InvalidTokenError: the only credential is an ``Authorization`` of another scheme than Bearer.
    """
    app_name: bytes | None = None
    given: list[bytes] = []
    bearers: list[bytes] = []
    for name, value in headers:  # thousands of times a second: once through, and nothing made that is not needed
        if name == _TOKEN:
            given.append(value.strip())
        elif name == _AUTHORIZATION:
            bearers.append(value.strip())
        elif name == _APP and app_name is None:
            app_name = value.strip()
    if not bearers:
        if len(given) == 1:
            return Credential(given[0], app_name)
        if not given:
            return None
    tokens = [*given, *filter(None, map(_bearer, bearers))]
    if not tokens:
        msg = "the header Authorization must hold the scheme Bearer and a token"
        raise InvalidTokenError(msg)
    return Credential(next(filter(is_ours, tokens), tokens[0]), app_name)


def check_app_name(name: str) -> str:
    """The name of an app, checked: 1 to 100 printable ASCII characters, no space at either end.

    Raises:
        InvalidAppNameError: it is something else.
    """
    if _APP_NAME.fullmatch(name) is None:
        msg = f"{name[:100]!r} is no name of an app; use 1 to 100 printable ASCII characters"
        raise InvalidAppNameError(msg)
    return name


def named_app(value: bytes | None) -> str:
    """The app that the header ``App-name`` names.

    Raises:
        AppNameRequiredError: the header is missing or empty.
        InvalidAppNameError: it holds no name of an app.
    """
    if not value:
        msg = f"this token is for any app; name yours in the header {APP_HEADER}"
        raise AppNameRequiredError(msg)
    return check_app_name(value.decode("latin-1"))


def _bearer(value: bytes) -> bytes | None:
    scheme, _, token = value.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None
