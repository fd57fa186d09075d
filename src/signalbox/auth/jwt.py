"""The tokens of people: JSON Web Tokens (RFC 7519), HS256 only.

The header never varies, so every token of this service begins with ``JWT_PREFIX``. Its ``typ`` is our own, as
RFC 8725 (section 3.11) advises: another issuer's token never passes for one of ours, nor ours for theirs.
"""

import base64
from dataclasses import dataclass
from typing import Any, Final

import jwt

from signalbox.auth.errors import InvalidTokenError
from signalbox.core.times import MICROSECONDS

ALGORITHM: Final = "HS256"
ISSUER: Final = "signalbox"
TYPE: Final = "sbx+jwt"
MAX_LENGTH: Final = 4096

JWT_PREFIX: Final = base64.urlsafe_b64encode(f'{{"alg":"{ALGORITHM}","typ":"{TYPE}"}}'.encode()).rstrip(b"=") + b"."
"""How every such token begins: the encoded header and the dot behind it."""

_REQUIRED: Final = ["iss", "sub", "scope", "iat", "exp", "ver"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says; ``issued`` and ``expires`` in whole seconds since 1970 UTC."""

    name: str
    scopes: frozenset[str]
    version: int
    """The user's version when the token was issued; a new password makes it another."""
    issued: int
    expires: int

    @property
    def expires_at(self) -> int:
        """``expires`` in microseconds."""
        return self.expires * MICROSECONDS


def issue(claims: Claims, *, key: bytes) -> str:
    """Sign the claims."""
    payload = {
        "iss": ISSUER,
        "sub": claims.name,
        "scope": " ".join(sorted(claims.scopes)),
        "iat": claims.issued,
        "exp": claims.expires,
        "ver": claims.version,
    }
    return jwt.encode(payload, key, algorithm=ALGORITHM, headers={"typ": TYPE})


def read(token: bytes, *, key: bytes, at: int) -> Claims:
    """The claims of a token that this service signed and that is still valid at ``at`` (microseconds UTC).

    Raises:
        InvalidTokenError: it is malformed, signed otherwise or with another key, or expired.
    """
    if not token.startswith(JWT_PREFIX) or len(token) > MAX_LENGTH:
        msg = "the bearer token is none of this service"
        raise InvalidTokenError(msg)
    claims = _to_claims(_decode(token, key))
    if claims.expires_at <= at:
        msg = "the token has expired; sign in again"
        raise InvalidTokenError(msg)
    return claims


def _decode(token: bytes, key: bytes) -> dict[str, Any]:
    # expiry is checked by read: PyJWT would look at the machine's clock
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            options={
                "require": _REQUIRED,
                "verify_exp": False,
                "verify_iat": False,
                "enforce_minimum_key_length": True,
            },
        )
    except jwt.InvalidTokenError as error:
        msg = "the bearer token is malformed or was signed by somebody else"
        raise InvalidTokenError(msg) from error


def _to_claims(payload: dict[str, Any]) -> Claims:
    try:
        return Claims(
            name=str(payload["sub"]),
            scopes=frozenset(str(payload["scope"]).split()),
            version=int(payload["ver"]),
            issued=int(payload["iat"]),
            expires=int(payload["exp"]),
        )
    except (TypeError, ValueError, OverflowError) as error:
        msg = "the bearer token holds claims that cannot be read"
        raise InvalidTokenError(msg) from error
