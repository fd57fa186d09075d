"""``/secapp/update``, as the clients of Secapp know it: a thin layer over the same service.

They send the headers ``App-name`` and ``Token``: a token of the app, one for any app, or one of
``criticality.shared_tokens``. An app's own token says which app it is, whatever ``App-name`` says.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

import msgspec
from sqlalchemy import Connection

from signalbox.auth.credentials import APP_HEADER, TOKEN_HEADER, named_app
from signalbox.auth.doors import Accepted, Asked, Door, Headers, Parameter, Poll, Ready
from signalbox.auth.errors import InvalidTokenError
from signalbox.auth.principal import Principal
from signalbox.auth.runtime import AuthRuntime
from signalbox.core.asgi import Receive, Scope, Send, answer
from signalbox.core.errors import Fault, SignalboxError, UnprocessableError
from signalbox.core.secrets import Secret
from signalbox.core.times import to_datetime, to_micros
from signalbox.criticality.parameters import consumer_name, find_header
from signalbox.criticality.polls import READ
from signalbox.criticality.reports import WRITE
from signalbox.criticality.runtime import CriticalityRuntime
from signalbox.criticality.schemas import SecappNews, SecappProcessed, SecappStatus
from signalbox.criticality.service.report import Report, report
from signalbox.criticality.settings import DEFAULT_SIGNAL
from signalbox.criticality.view import Known

PATH = "/secapp/update"
TIME = "%Y-%m-%dT%H:%M:%SZ"

_JSON = (b"content-type", b"application/json")
_NOTHING_NEW = Ready.of([_JSON], b"{}")

_PARAMETERS = (
    Parameter(APP_HEADER, "header", "Name of the app.", required=True),
    Parameter(TOKEN_HEADER, "header", "Token of the app, or one that apps share.", required=True),
)
_RESPONSES = {400: "No header App-name", 401: "No valid token", 403: "The token lacks the scope"}


class Secapp:
    """Both operations."""

    def __init__(self, runtime: CriticalityRuntime, auth: AuthRuntime) -> None:
        self._runtime, self._auth = runtime, auth
        self._shared = _digests(runtime.settings.shared_tokens)
        self._shared_seen: set[bytes] = set()

    def poll(self) -> Poll:
        """The declaration of GET."""
        return Poll(
            path=PATH,
            scope=None,
            handle=self.ask,
            at_once=self.find_nothing,
            summary="Ask for a change, as Secapp's clients do",
            answer=SecappNews,
            parameters=_PARAMETERS,
            responses=_RESPONSES,
            tags=("criticality",),
        )

    def door(self) -> Door[Any]:
        """The declaration of POST."""
        return Door(
            method="POST",
            path=PATH,
            scope=None,
            body=bytes,  # decoded behind the check of the token, so that strangers learn nothing but that they are
            prepare=self.prepare,
            handle=self.report,
            summary="Report the level, as Secapp's clients do",
            answer=SecappProcessed,
            status=200,
            parameters=_PARAMETERS,
            responses={**_RESPONSES, 422: "Fields missing or wrong"},
            tags=("criticality",),
        )

    async def ask(self, scope: Scope, _receive: Receive, send: Send, _principal: Principal) -> None:
        """Answer with the level if it is news to the app, else with ``{}``."""
        pair = (await self._identify(scope["headers"], READ), DEFAULT_SIGNAL)
        known = None
        if scope["method"] != "HEAD":
            self._runtime.counter.add(pair)
            known = None if self._runtime.has_nothing_for(pair) else await self._runtime.ask(pair)
        body = b"{}" if known is None else msgspec.json.encode(_change(known))
        headers = [_JSON, (b"content-length", b"%d" % len(body))]
        await answer(scope, send, status=200, headers=headers, body=body)

    def find_nothing(
        self, headers: Mapping[bytes, bytes], _parameters: Mapping[str, str], _caller: Principal, now: int
    ) -> Ready | None:
        """``{}`` for an app that was told already and whose token is remembered; None for every other."""
        token, named = headers.get(b"token"), headers.get(b"app-name")
        app = self._recall(token, named, now) if token and named else None
        if app is None or not self._runtime.was_told((app, DEFAULT_SIGNAL)):
            return None
        self._runtime.counter.add((app, DEFAULT_SIGNAL))
        return _NOTHING_NEW

    def _recall(self, token: bytes, named: bytes, now: int) -> str | None:
        """The app that asks, if ``_identify`` would have nothing to wait for; None also where it would raise."""
        try:
            app = named_app(named)
            if token in self._shared_seen:
                return app
            principal = self._auth.recall({b"token": token, b"app-name": named}, at=now)
        except SignalboxError:
            return None
        if principal is None or not self._auth.allows(principal, READ):
            return None
        return consumer_name(principal)

    async def prepare(self, asked: Asked) -> Report:
        """What is reported, and by whom."""
        app = await self._identify(asked.headers, WRITE)
        try:
            said = msgspec.json.decode(asked.body, type=SecappStatus)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnprocessableError([Fault("body", str(error))]) from None
        moment = said.Change_at
        if moment.utcoffset() is None:
            moment = moment.replace(tzinfo=UTC)
        return Report(DEFAULT_SIGNAL, said.current_status, to_micros(moment), app)

    def report(self, tx: Connection, what: Report, _principal: Principal, now: int) -> Accepted:
        """Keep a level."""
        runtime = self._runtime
        outcome = report(tx, what, settings=runtime.settings, announce=runtime.announce, now=now)
        return Accepted(200, SecappProcessed(outcome.revision))

    async def _identify(self, headers: Headers, needed: str) -> str:
        """The app that asks.

        Raises:
            InvalidTokenError: there is no token, or it is not valid.
            MissingScopeError: it is valid for something else.
            AppNameRequiredError: no app is named.
            InvalidAppNameError: what is named is no app.
        """
        token = find_header(headers, b"token")
        if not token:
            msg = f"send a token in the header {TOKEN_HEADER}"
            raise InvalidTokenError(msg)
        named = find_header(headers, b"app-name")
        if self._is_shared(token):
            return named_app(named)
        given = [(b"token", token), *([(b"app-name", named)] if named else [])]
        principal = await self._auth.authenticate(given)
        self._auth.require(principal, needed)
        named_app(named)
        return consumer_name(principal)

    def _is_shared(self, token: bytes) -> bool:
        """Compared in constant time, with each. What is shared is remembered, and known at once the next time."""
        digest = hashlib.sha256(token).digest()
        shared = sum(hmac.compare_digest(digest, each) for each in self._shared) > 0
        if shared:
            self._shared_seen.add(token)
        return shared


def _digests(tokens: Iterable[Secret]) -> list[bytes]:
    return [hashlib.sha256(token.reveal().encode()).digest() for token in tokens]


def _change(known: Known) -> SecappNews:
    current = known.current
    return SecappNews(current.level, current.revision, to_datetime(current.changed_at).strftime(TIME))
