import inspect

import pytest

from signalbox.auth import errors
from signalbox.core.errors import ForbiddenError, SignalboxError, UnauthenticatedError

KINDS: list[type[SignalboxError]] = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, SignalboxError) and each.__module__ == errors.__name__
]


def test_a_missing_scope_is_named() -> None:
    error = errors.MissingScopeError("this needs the scope grid:write", scope="grid:write")
    assert (error.scope, str(error), error.code) == ("grid:write", "this needs the scope grid:write", "missing_scope")
    assert isinstance(error, ForbiddenError)


@pytest.mark.parametrize("kind", [errors.InvalidTokenError, errors.SignOnRequiredError, errors.WrongCredentialsError])
def test_who_is_not_known_is_unauthenticated_and_not_forbidden(kind: type[SignalboxError]) -> None:
    assert issubclass(kind, UnauthenticatedError)
    assert not issubclass(kind, ForbiddenError)


def test_every_failure_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes) >= 10
    assert all(issubclass(kind, SignalboxError) for kind in KINDS)
