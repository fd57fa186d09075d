"""What can go wrong in the console alone."""

from signalbox.core.errors import ConflictError, ForbiddenError, NotFoundError, UnauthenticatedError, UnavailableError


class SignInFirstError(UnauthenticatedError):
    """Nobody is signed in with this browser; where a page is asked for it leads to the sign-in instead."""

    code = "sign_in_first"


class ManagerOnlyError(ForbiddenError):
    """Only people of the role manager may do this."""

    code = "manager_only"


class OwnAccountError(ConflictError):
    """People cannot shut themselves out."""

    code = "own_account"


class ForgedRequestError(ForbiddenError):
    """The request comes from another site, or from a page of another session."""

    code = "forged_request"


class UnknownPageError(NotFoundError):
    """The console has no such page, file or thing."""

    code = "unknown_page"


class TooManyStreamsError(UnavailableError):
    """As many pages are followed live by this process as it lets."""

    code = "too_many_streams"
