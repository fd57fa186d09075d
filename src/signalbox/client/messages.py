"""What a client and the hub say to each other, without any I/O."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from signalbox.client.errors import RefusedError, UnreachableError

PATH = "/api/criticality"
DEFAULT_SIGNAL = "default"

LONG_POLL = 25.0
"""Seconds that a client waits for a change in one request: less than what proxies take for dead."""

_REFUSED, _TOO_MANY, _BROKEN = 400, 429, 500


@dataclass(frozen=True, slots=True)
class Change:
    """What a signal stands at."""

    level: int
    revision: int
    """Orders the changes of a signal; never given twice."""
    changed_at: datetime
    """When it changed, by the producer's clock."""
    set_by: str
    """The app that set it."""
    reason: str | None


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a report."""

    revision: int
    accepted: bool
    why: str | None
    """Why it did not become current: ``older``, ``same_time`` or ``held``."""
    current: Change


@dataclass(frozen=True, slots=True)
class Request:
    """One request, for whoever sends it."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    wait: float = 0.0
    """Seconds that the hub may take to answer beside the usual."""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer, header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Messages:
    """Makes the requests of one app about one signal, and reads the answers."""

    def __init__(self, url: str, *, token: str, app: str | None, signal: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or parts.hostname is None or parts.query or parts.fragment:
            msg = f"{url!r} is no address of a hub; write it as in https://hub.example.com"
            raise ValueError(msg)
        self.scheme, self.host = parts.scheme, parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.authority = parts.netloc.rpartition("@")[2]
        self._root = parts.path.rstrip("/")
        self._signal = signal
        self._headers = {"Token": token, "Accept": "application/json", **({"App-name": app} if app else {})}

    def report(self, level: int, *, reason: str | None, changed_at: datetime | None) -> Request:
        """Report a level; ``changed_at`` with a zone, None: now."""
        moment = changed_at or datetime.now(UTC)
        body: dict[str, Any] = {"level": level, "changed_at": moment.isoformat()}
        if reason is not None:
            body["reason"] = reason
        return self._request("POST", self._path(), body=body)

    def ask(self, *, since: int | None = None, wait: float = 0.0) -> Request:
        """Ask for a change."""
        query = {} if since is None else {"since": str(since)}
        if wait > 0:
            query["wait"] = f"{wait:g}"
        return self._request("GET", self._path(), query=query, wait=wait)

    def acknowledge(self, revision: int) -> Request:
        """Say that the app has a revision."""
        return self._request("POST", f"{PATH}/ack", body={"revision": revision, "signal": self._signal})

    def _path(self) -> str:
        return PATH if self._signal == DEFAULT_SIGNAL else f"{PATH}/{quote(self._signal, safe='')}"

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        wait: float = 0.0,
    ) -> Request:
        target = self._root + path + (f"?{urlencode(query)}" if query else "")
        content = b"" if body is None else json.dumps(body).encode()
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        return Request(method, target, headers, content, wait)


def to_change(response: Response) -> Change | None:
    """The change in an answer to an ask; None where there is none."""
    found = _read(response)
    return _change(found) if found else None


def to_kept(response: Response) -> Kept:
    """What became of a report."""
    found = _read(response)
    return Kept(found["revision"], found["accepted"], found["why"], _change(found["current"]))


def check(response: Response) -> None:
    """See that an answer is none of the errors.

    Raises:
        RefusedError: the hub said no.
        UnreachableError: it said to come back.
    """
    status = response.status
    if status < _REFUSED:
        return
    problem = _problem(response.body)
    message = f"{status}: {problem.get('detail') or 'no reason given'}"
    if status == _TOO_MANY or status >= _BROKEN:
        raise UnreachableError(message, retry_after=_seconds(response.headers.get("retry-after")))
    raise RefusedError(message, status=status, code=str(problem.get("code", "error")))


def _read(response: Response) -> Any:
    check(response)
    try:
        found = json.loads(response.body)
    except ValueError as error:
        msg = "the answer is not JSON: something else answered for the hub"
        raise UnreachableError(msg) from error
    if not isinstance(found, dict):
        msg = "the answer is no object: something else answered for the hub"
        raise UnreachableError(msg)
    return found


def _change(found: Mapping[str, Any]) -> Change:
    moment = datetime.fromisoformat(found["changed_at"])
    return Change(found["level"], found["revision"], moment, found["set_by"], found["reason"])


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdecimal() else None
