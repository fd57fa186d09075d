import base64

import pytest

from signalbox.auth.credentials import Credential, check_app_name, find_credential, holds_ours, is_ours, named_app
from signalbox.auth.errors import AppNameRequiredError, InvalidAppNameError, InvalidTokenError
from signalbox.auth.jwt import JWT_PREFIX
from signalbox.auth.tokens import new_token

OURS = b"sbx_" + b"a" * 40
AUTHORIZATION = b"authorization"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([(b"accept", b"*/*"), (b"app-name", b"shop")], None),
        ([(AUTHORIZATION, b"Bearer " + OURS)], Credential(OURS)),
        ([(AUTHORIZATION, b"bearer   " + OURS + b" ")], Credential(OURS)),
        ([(b"token", OURS), (b"app-name", b" shop ")], Credential(OURS, b"shop")),
        ([(b"token", b"foreign")], Credential(b"foreign")),
        # one of ours goes before what may be meant for an upstream, wherever it stands
        ([(AUTHORIZATION, b"Bearer foreign"), (b"token", OURS)], Credential(OURS)),
        ([(b"token", b"foreign"), (AUTHORIZATION, b"Bearer " + OURS)], Credential(OURS)),
        ([(AUTHORIZATION, b"Basic eDp5"), (b"token", OURS)], Credential(OURS)),
        ([(b"token", b"")], Credential(b"")),
    ],
)
def test_which_credential_counts(headers: list[tuple[bytes, bytes]], expected: Credential | None) -> None:
    assert find_credential(headers) == expected


@pytest.mark.parametrize("value", [b"", b"Basic eDp5", OURS, b"Bearer", b"Bearer "])
def test_an_authorization_without_a_bearer_token_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidTokenError, match="Bearer"):
        find_credential([(AUTHORIZATION, value)])


def test_our_tokens_are_known_by_their_beginning() -> None:
    assert is_ours(OURS)
    assert is_ours(JWT_PREFIX + b"x.y")
    assert not is_ours(b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.x.y")


def test_an_app_has_a_printable_name() -> None:
    for name in ("shop", "Sales Dashboard", "a", "x" * 100):
        assert check_app_name(name) == name
        assert named_app(name.encode()) == name
    for wrong in ("", " ", " a", "a ", "x" * 101, "a\nb", "café", "a\0"):
        with pytest.raises(InvalidAppNameError):
            check_app_name(wrong)
    for missing in (None, b""):
        with pytest.raises(AppNameRequiredError, match="App-name"):
            named_app(missing)


@pytest.mark.parametrize("wrapped", [b"%b", b"Bearer %b", b'Token token="%b"', b'"%b"', b"a=%b,b=1"])
def test_our_tokens_are_found_however_they_are_wrapped(wrapped: bytes) -> None:
    for token in (new_token().encode(), JWT_PREFIX + b"e30.c2ln"):
        assert holds_ours(wrapped % token)
        assert holds_ours(b"Basic " + base64.b64encode(b"user:" + wrapped % token))


@pytest.mark.parametrize("value", [b"Bearer abc", b"Basic dXNlcjpwYXNz", b"Basic no base64!", b"sbx_short", b""])
def test_tokens_of_others_are_not_ours(value: bytes) -> None:
    assert not holds_ours(value)
    assert not holds_ours(b"x" + new_token().encode())
    assert not holds_ours(new_token().encode() + b"x")
