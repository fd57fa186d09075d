"""What can go wrong with users, tokens and scopes."""

from signalbox.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TooManyError,
    UnauthenticatedError,
)


class UserExistsError(ConflictError):
    """A user of that name, in whatever case, exists."""

    code = "user_exists"


class UnknownUserError(NotFoundError):
    """No user has that name."""

    code = "unknown_user"


class UserUnchangedError(ConflictError):
    """The user is already in the state asked for."""

    code = "user_unchanged"


class InvalidUserNameError(InvalidError):
    """The name is too long or holds characters that a user name may not."""

    code = "invalid_user_name"


class WeakPasswordError(InvalidError):
    """The password is too short or too long."""

    code = "weak_password"


class UnknownScopeError(InvalidError):
    """A scope is not one of ``scopes.SCOPES``, or none was given where one is needed."""

    code = "unknown_scope"


class UnknownTokenError(NotFoundError):
    """No app token has that id or prefix."""

    code = "unknown_token"


class AmbiguousTokenError(ConflictError):
    """Several app tokens begin with that prefix."""

    code = "ambiguous_token"


class TokenRevokedError(ConflictError):
    """The app token was revoked before."""

    code = "token_revoked"


class InvalidAppNameError(InvalidError):
    """The name of an app is too long or not printable ASCII."""

    code = "invalid_app_name"


class AppNameRequiredError(InvalidError):
    """A token for any app came without the header that names the app."""

    code = "app_name_required"


class WrongCredentialsError(UnauthenticatedError):
    """User and password do not belong together, or the user is disabled; which of them is not said."""

    code = "wrong_credentials"


class InvalidTokenError(UnauthenticatedError):
    """The credential is malformed, forged, unknown, expired or revoked."""

    code = "invalid_token"


class SignOnRequiredError(UnauthenticatedError):
    """Nobody signed on, and what anybody may do is not enough."""

    code = "sign_on_required"


class MissingScopeError(ForbiddenError):
    """The caller is known and lacks ``scope``."""

    code = "missing_scope"

    def __init__(self, message: str, *, scope: str) -> None:
        super().__init__(message)
        self.scope = scope


class TooManyAttemptsError(TooManyError):
    """Too many sign-ins of this user or from this address failed within a minute."""

    code = "too_many_attempts"
