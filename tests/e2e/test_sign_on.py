"""Who may do what, over real sockets; and commands that run beside the server."""

import jwt
import pytest

from signalbox.auth.jwt import TYPE
from tests.support.processes import Server, admin_token, ask, run, sign_in, until

PASSWORD = "anna's password"


@pytest.fixture(scope="module")
def anna(server: Server) -> str:
    """The name of a person with the role user."""
    added = run("users", "add", "anna", "--role", "user", "--password-stdin", folder=server.folder, stdin=PASSWORD)
    assert added.code == 0, added.err
    return "anna"


def token_of(server: Server, name: str, *, scope: str = "") -> str:
    answer = sign_in(server.url, name, PASSWORD, scope=scope)
    assert answer.status == 200, answer.text
    return str(answer.json["access_token"])


def test_a_person_signs_in_and_is_known(server: Server, anna: str) -> None:
    answer = sign_in(server.url, anna, PASSWORD)
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.json["token_type"], answer.json["scope"]) == ("bearer", "user")
    me = ask(f"{server.url}/auth/me", token=answer.json["access_token"])
    assert (me.json["name"], me.json["role"], me.json["kind"]) == ("anna", "user", "user")


def test_wrong_passwords_and_unknown_people_are_told_the_same(server: Server, anna: str) -> None:
    wrong, unknown = sign_in(server.url, anna, "wrong password"), sign_in(server.url, "nobody", "wrong password")
    assert (wrong.status, unknown.status) == (401, 401)
    assert wrong.json == unknown.json
    assert wrong.json["code"] == "wrong_credentials"


def test_a_user_cannot_become_manager(server: Server, anna: str) -> None:
    answer = sign_in(server.url, anna, PASSWORD, scope="manager")
    assert (answer.status, answer.json["code"]) == (403, "missing_scope")
    assert "manager" in answer.json["detail"]


def test_only_managers_read_the_audit_trail(server: Server, anna: str) -> None:
    audit = f"{server.url}/api/audit"
    refused = ask(audit, token=token_of(server, anna))
    assert (refused.status, refused.json["code"]) == (403, "missing_scope")
    assert "manager" in refused.json["detail"]
    assert ask(audit).status == 401
    trail = ask(audit, token=admin_token(server))
    assert trail.status == 200
    assert "user:anna" in {entry["target"] for entry in trail.json}


def test_forged_tokens_are_refused(server: Server, anna: str) -> None:
    genuine = token_of(server, anna)
    claims = jwt.decode(genuine, options={"verify_signature": False})
    header, payload, signature = genuine.split(".")
    promoted = jwt.encode({**claims, "scope": "manager"}, "k" * 64, algorithm="HS256", headers={"typ": TYPE})
    forged = {
        "alg=none": jwt.encode(claims, None, algorithm="none", headers={"typ": TYPE}),
        "alg=none below our header": f"{header}.{payload}.",
        "foreign key": jwt.encode(claims, "k" * 64, algorithm="HS256", headers={"typ": TYPE}),
        "other claims": f"{header}.{promoted.split('.')[1]}.{signature}",
        "broken signature": genuine[:-4] + "AAAA",
        "nonsense": "nonsense",
    }
    assert ask(f"{server.url}/auth/me", token=genuine).status == 200
    for what, token in forged.items():
        answer = ask(f"{server.url}/auth/me", token=token)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer"), what


def test_what_anybody_may_do_needs_no_token(server: Server) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/docs", "/redoc", "/openapi.json", "/status/203"):
        assert ask(server.url + path).status in (200, 203), path
    for path in ("/api/statistics/", "/api/statistics/summary", "/api/audit", "/auth/me"):
        assert ask(server.url + path).status == 401, path


# -- commands beside the server ---------------------------------------------------------------------------------------


def test_a_new_token_works_at_once_and_a_revoked_one_fails_soon(server: Server) -> None:
    made = run("tokens", "create", "--app", "shop", "--scope", "statistics:read", folder=server.folder)
    token = made.out.splitlines()[-1]
    statistics = f"{server.url}/api/statistics/"
    assert ask(statistics, token=token).status == 200
    assert ask(statistics, headers={"Token": token}).status == 200
    assert ask(f"{server.url}/api/audit", token=token).status == 403
    assert run("tokens", "revoke", token[:12], folder=server.folder).code == 0
    until(lambda: ask(statistics, token=token).status == 401)


def test_a_disabled_person_is_out_soon(server: Server, anna: str) -> None:
    token = token_of(server, anna)
    me = f"{server.url}/auth/me"
    assert ask(me, token=token).status == 200
    assert run("users", "disable", anna, folder=server.folder).code == 0
    try:
        until(lambda: ask(me, token=token).status == 401)
        assert sign_in(server.url, anna, PASSWORD).status == 401
    finally:
        run("users", "enable", anna, folder=server.folder)
    assert sign_in(server.url, anna, PASSWORD).status == 200
    assert ask(me, token=token).status in (200, 401)


def test_commands_are_in_the_audit_trail(server: Server, anna: str) -> None:
    made = run("tokens", "create", "--app", "audited", "--scope", "gateway", "--json", folder=server.folder).json
    trail = ask(f"{server.url}/api/audit?target=token:{made['id']}", token=admin_token(server)).json
    assert [entry["action"] for entry in trail] == ["token.create"]
    assert trail[0]["actor"].startswith("cli")
    assert made["token"] not in str(trail)
