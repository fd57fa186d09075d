import re

import pytest

from signalbox.auth import users
from signalbox.core.times import HOUR
from tests.console.conftest import SignedIn, Visitor, add_user, header
from tests.support.databases import Place
from tests.support.hub import RunningHub, running_hub, settings_at


async def test_without_a_session_one_is_led_to_the_form_and_back(visitor: Visitor) -> None:
    refused = await visitor.get("/overview/parts?x=1&y=%20")
    assert refused.status == 303
    place = header(refused, "Location")
    assert place == "/console/sign-in?next=/console/overview/parts%3Fx%3D1%26y%3D%2520"
    form = (await visitor.get("/sign-in?next=/console/overview/parts%3Fx%3D1%26y%3D%2520")).body.decode()
    assert 'name="next" value="/console/overview/parts?x=1&amp;y=%20"' in form
    entered = await visitor.sign_in("user", next="/console/overview/parts?x=1&y=%20")
    assert header(entered, "Location") == "/console/overview/parts?x=1&y=%20"


async def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(visitor: Visitor) -> None:
    cookie = header(await visitor.sign_in("user"), "Set-Cookie")
    assert re.fullmatch(
        r"signalbox_session=[A-Za-z0-9_-]{43}; HttpOnly; Max-Age=4\d{4}; Path=/console; SameSite=lax", cookie
    )


async def test_over_https_it_is_never_sent_without(visitor: Visitor) -> None:
    answer = await visitor.post(
        "/sign-in", headers={"X-Forwarded-Proto": "https"}, username="user", password="correct horse"
    )
    assert header(answer, "Set-Cookie").endswith("; Secure")


@pytest.mark.parametrize("fields", [{"username": "user", "password": "wrong"}, {"username": "x", "password": "wrong"}])
async def test_what_is_wrong_is_said_at_the_form(visitor: Visitor, fields: dict[str, str]) -> None:
    answer = await visitor.send("/sign-in", fields)
    assert answer.status == 401
    assert b"the user or the password is wrong" in answer.body
    assert f'value="{fields["username"]}"'.encode() in answer.body
    assert answer.value(b"set-cookie") is None
    assert b"wrong&#34;" not in answer.body


async def test_nothing_at_all_is_a_form_too(visitor: Visitor) -> None:
    answer = await visitor.post("/sign-in", username="user")
    assert answer.status == 422
    assert b"Enter a user name and a password." in answer.body


async def test_sign_ins_that_fail_are_limited_as_those_of_the_api_are(visitor: Visitor) -> None:
    for _ in range(5):
        await visitor.post("/sign-in", username="user", password="wrong")
    answer = await visitor.post("/sign-in", username="user", password="correct horse")
    assert answer.status == 429
    api = await visitor.hub.ask(
        b"/auth/token",
        method=b"POST",
        headers=[(b"Content-Type", b"application/x-www-form-urlencoded")],
        body=b"username=user&password=correct+horse",
    )
    assert api.status == 429


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.test/console",
        "https://evil.test/console",
        "/elsewhere",
        "/consoles",
        "/console/../docs",
        "/console/\\evil",
        "/console\r\nSet-Cookie: x=1",
        "javascript:alert(1)",
        "/console/" + "x" * 2_000,
    ],
)
async def test_nobody_is_led_elsewhere(visitor: Visitor, wanted: str) -> None:
    assert header(await visitor.sign_in("user", next=wanted), "Location") == "/console"


async def test_another_site_cannot_sign_anybody_in(visitor: Visitor) -> None:
    fields = {"username": "user", "password": "correct horse"}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.test"}, {"Origin": "null"}):
        answer = await visitor.send("/sign-in", fields, headers)
        assert answer.status == 403, headers
        assert answer.value(b"set-cookie") is None


async def test_whoever_is_signed_in_sees_no_form(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    answer = await somebody.get("/sign-in?next=/console/overview/parts")
    assert (answer.status, header(answer, "Location")) == (303, "/console/overview/parts")


async def test_signing_out_ends_the_session_on_the_server(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    answer = await somebody.post("/sign-out", csrf_token=somebody.csrf)
    assert (answer.status, header(answer, "Location")) == (303, "/console/sign-in")
    assert "Max-Age=0" in header(answer, "Set-Cookie")
    assert (await somebody.get()).status == 303  # though it still sends the cookie


async def test_signing_in_anew_ends_the_session_before(hub: RunningHub, signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    before = Visitor(hub, somebody.cookie)
    assert (await somebody.sign_in("manager", "wrong")).status == 401
    assert (await before.get()).status == 200
    assert (await somebody.sign_in("manager")).status == 303
    assert (await somebody.get()).status == 200
    assert (await before.get()).status == 303


async def test_whoever_is_disabled_is_out_at_once(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    context = somebody.hub.hub.context
    await context.db.write(users.disable_user, name="user", actor="test", at=context.clock.now())
    assert (await somebody.get()).status == 303


async def test_what_htmx_asks_leads_the_whole_page_to_the_form(visitor: Visitor) -> None:
    answer = await visitor.get("/overview/parts", htmx=True, HX_Current_URL="http://hub.test/console?x=1")
    assert answer.status == 401
    assert header(answer, "HX-Redirect") == "/console/sign-in?next=/console%3Fx%3D1"


async def test_all_of_it_works_below_a_root_path(place: Place) -> None:
    async with running_hub(settings_at(place, root_path="/b")) as running:
        await add_user(running, "user", "user")
        visitor = Visitor(running)
        assert header(await visitor.get(), "Location") == "/b/console/sign-in"
        entered = await visitor.sign_in("user", next="/b/console/overview/parts")
        assert header(entered, "Location") == "/b/console/overview/parts"
        assert "Path=/b/console;" in header(entered, "Set-Cookie")
        page = await visitor.text()
        assert re.findall(r'(?:href|src|action|hx-get|hx-post|data-live)="(?!/b/|#)[^"]*"', page) == []


async def test_a_session_lasts_as_long_as_a_token(hub: RunningHub, visitor: Visitor) -> None:
    await visitor.sign_in("user")
    session = await hub.hub.auth.sessions.find(visitor.cookie.partition("=")[2])
    assert session is not None
    assert abs(session.expires_at - hub.hub.context.clock.now() - 12 * HOUR) < HOUR
