import base64
import json
from dataclasses import replace
from typing import Any

import jwt as pyjwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.auth.errors import InvalidTokenError
from signalbox.auth.jwt import JWT_PREFIX, MAX_LENGTH, Claims, issue, read

KEY = b"k" * 64
NOW = 1_800_000_000
CLAIMS = Claims("anna", frozenset({"user", "gateway"}), version=3, issued=NOW, expires=NOW + 60)
PAYLOAD: dict[str, Any] = {
    "iss": "signalbox",
    "sub": "anna",
    "scope": "manager",
    "iat": NOW,
    "exp": NOW + 60,
    "ver": 1,
}


def segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def refused(token: str, *, key: bytes = KEY, at: int = NOW) -> str:
    with pytest.raises(InvalidTokenError) as error:
        read(token.encode(), key=key, at=at * 1_000_000)
    return str(error.value)


def test_claims_come_back() -> None:
    token = issue(CLAIMS, key=KEY)
    assert read(token.encode(), key=KEY, at=NOW * 1_000_000) == CLAIMS


def test_every_token_begins_alike() -> None:
    for claims in (CLAIMS, replace(CLAIMS, name="bob", version=4)):
        assert issue(claims, key=KEY).encode().startswith(JWT_PREFIX)
    assert not pyjwt.encode(PAYLOAD, KEY).encode().startswith(JWT_PREFIX), "other issuers' tokens are told apart"


def test_it_ends_on_the_microsecond() -> None:
    token = issue(CLAIMS, key=KEY).encode()
    assert read(token, key=KEY, at=(NOW + 60) * 1_000_000 - 1)
    with pytest.raises(InvalidTokenError, match="expired"):
        read(token, key=KEY, at=(NOW + 60) * 1_000_000)


def test_another_key_is_refused() -> None:
    assert "signed by somebody else" in refused(issue(CLAIMS, key=KEY), key=b"x" * 64)


@pytest.mark.parametrize("algorithm", ["none", "None", "HS512", "RS256"])
def test_another_algorithm_is_refused(algorithm: str) -> None:
    header = {"alg": algorithm, "typ": "sbx+jwt"}
    for signature in ("", issue(CLAIMS, key=KEY).rpartition(".")[2]):
        refused(f"{segment(header)}.{segment(PAYLOAD)}.{signature}")
    refused(f"{JWT_PREFIX.decode()}{segment(PAYLOAD)}.")


def test_another_type_is_refused_even_with_our_key() -> None:
    refused(pyjwt.encode(PAYLOAD, KEY, algorithm="HS256"))
    refused(pyjwt.encode(PAYLOAD, KEY, algorithm="HS512", headers={"typ": "sbx+jwt"}))


@pytest.mark.parametrize("missing", sorted(PAYLOAD))
def test_no_claim_may_be_missing(missing: str) -> None:
    payload = {name: value for name, value in PAYLOAD.items() if name != missing}
    refused(pyjwt.encode(payload, KEY, headers={"typ": "sbx+jwt"}))


@pytest.mark.parametrize("wrong", [{"exp": "never"}, {"ver": "x"}, {"exp": 1e400}, {"iss": "other"}, {"sub": 7}])
def test_claims_that_cannot_be_read_are_refused(wrong: dict[str, Any]) -> None:
    refused(pyjwt.encode({**PAYLOAD, **wrong}, KEY, headers={"typ": "sbx+jwt"}))


def test_a_huge_token_is_not_looked_at() -> None:
    huge = issue(replace(CLAIMS, name="a" * MAX_LENGTH), key=KEY)
    assert "none of this service" in refused(huge)


@given(st.data())
def test_no_changed_character_goes_unnoticed(data: st.DataObject) -> None:
    token = issue(CLAIMS, key=KEY)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("Aa0-_.=+ ").filter(lambda character: character != token[place]))
    refused(token[:place] + other + token[place + 1 :])


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    for text in (garbage, JWT_PREFIX + garbage):
        with pytest.raises(InvalidTokenError):
            read(text, key=KEY, at=NOW)
