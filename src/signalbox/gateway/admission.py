"""Who may use the gateway, by the credentials of a call."""

from signalbox.auth.credentials import holds_ours, is_ours
from signalbox.auth.errors import MissingScopeError, SignOnRequiredError
from signalbox.auth.principal import Principal
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.scopes import grants
from signalbox.gateway.exchange import Exchange
from signalbox.gateway.headers import Header, Special

CREDENTIALS = frozenset({b"authorization", b"token", b"app-name"})


class Admission:
    """Checks tokens, and keeps the hub's own from the upstreams."""

    def __init__(self, auth: AuthRuntime) -> None:
        self._auth = auth

    async def look_up(self, exchange: Exchange, headers: list[Header], special: Special) -> list[Header]:
        """As ``admit_known``, for a token that is not remembered."""
        self._check_principal(exchange, await self._auth.authenticate(headers))
        return _foreign(_credentials(special))

    def admit_known(self, exchange: Exchange, special: Special) -> list[Header] | None:
        """Check a caller's right to the gateway who sends no token of the hub, or one that is remembered.

        Returns:
            The credentials that are not the hub's own, which belong to the upstream and are passed on; None where the
            token must be looked up first.
        """
        pairs = _credentials(special)
        foreign = _foreign(pairs)
        if len(foreign) == len(pairs):
            self.check_anonymous(exchange)
            return [*foreign, *((b"app-name", value) for value in special.get(b"app-name", ()))]
        token = _own_token(special)
        app_name = special.get(b"app-name", (None,))[0]
        principal = None if token is None else self._auth.lookup(token, app_name=app_name)
        if principal is None:
            return None
        self._check_principal(exchange, principal)
        return foreign

    def _check_principal(self, exchange: Exchange, principal: Principal) -> None:
        """Check the right of the one whose token was sent, and note who it is."""
        exchange.app = principal.app or principal.name
        if not exchange.needs_token:
            self._auth.require(principal, "gateway")
        elif not grants(principal.scopes, "gateway"):
            msg = "this upstream needs a token with the scope gateway"
            raise MissingScopeError(msg, scope="gateway")

    def check_anonymous(self, exchange: Exchange) -> None:
        """Check that a caller without credentials may use the upstream."""
        if exchange.needs_token:
            msg = "this upstream needs a token; send one as Authorization: Bearer or as Token"
            raise SignOnRequiredError(msg)
        if "gateway" not in self._auth.anonymous.scopes:
            self._auth.require(self._auth.anonymous, "gateway")


def _credentials(special: Special) -> list[Header]:
    return [(name, value) for name in (b"authorization", b"token") for value in special.get(name, ())]


def _foreign(pairs: list[Header]) -> list[Header]:
    return [pair for pair in pairs if not holds_ours(pair[1])]


def _own_token(special: Special) -> bytes | None:
    """The caller's credential if the hub issued it: an app token, or a JWT with the hub's own header."""
    for value in special.get(b"token", ()):
        if is_ours(value):
            return value
    for value in special.get(b"authorization", ()):
        scheme, _, credential = value.partition(b" ")
        if scheme.lower() == b"bearer" and is_ours(credential.strip()):
            return credential.strip()
    return None
