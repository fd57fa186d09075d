import json
import logging

import pytest
from starlette.responses import PlainTextResponse, Response

from signalbox.console.desk import HEADERS
from signalbox.console.page import Page, Route, action
from signalbox.console.visit import Visit
from signalbox.core.asgi import Message
from signalbox.core.errors import ConflictError, UnavailableError
from tests.console.conftest import Answers, SignedIn, Visitor, console_of, header

done: list[str] = []


async def show(_visit: Visit) -> Response:
    return PlainTextResponse("shown")


async def act(visit: Visit) -> Response:
    done.append(visit.actor)
    return visit.done("It is done.", "lamps")


async def conflict(_visit: Visit) -> Response:
    msg = "the lamp <b>burns</b> already"
    raise ConflictError(msg)


async def away(_visit: Visit) -> Response:
    msg = "the database is away"
    raise UnavailableError(msg)


async def broken(_visit: Visit) -> Response:
    msg = "a secret"
    raise RuntimeError(msg)


LAMPS = Page(
    "lamps",
    "/lamps",
    "Lamps",
    "overview",
    (
        Route("/lamps", show),
        Route("/lamps/secret", show, role="manager"),
        Route("/lamps/conflict", conflict),
        Route("/lamps/away", away),
        Route("/lamps/broken", broken),
        action("/lamps/switch", act),
    ),
)


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


@pytest.fixture
async def manager(signed_in: SignedIn) -> Answers:
    return console_of(await signed_in("manager"), LAMPS)


@pytest.fixture
async def user(signed_in: SignedIn) -> Answers:
    return console_of(await signed_in("user"), LAMPS)


async def test_every_answer_is_hardened(manager: Answers, visitor: Visitor) -> None:
    answers = [await manager.ask(path) for path in ("/lamps", "/lamps/conflict", "/none", "/lamps/broken")]
    answers.append(await console_of(visitor, LAMPS).ask("/lamps"))
    answers.append(await console_of(visitor, LAMPS).ask("/sign-in"))
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


async def test_browsers_say_where_our_own_forms_come_from(manager: Answers, visitor: Visitor) -> None:
    """With ``no-referrer`` they send ``Origin: null``, which is refused."""
    answers = [await manager.ask(path) for path in ("/lamps", "/lamps/conflict", "/none", "/lamps/broken", "/sign-in")]
    answers.append(await console_of(visitor, LAMPS).ask("/sign-in"))
    assert {answer.headers["Referrer-Policy"] for answer in answers} == {"same-origin"}


async def test_pages_are_kept_by_no_cache(manager: Answers) -> None:
    assert (await manager.ask("/lamps")).headers["Cache-Control"] == "no-store"


async def test_a_user_is_refused_what_only_managers_may(user: Answers, manager: Answers) -> None:
    assert (await user.ask("/lamps")).status_code == 200
    assert (await user.ask("/lamps/secret")).status_code == 403
    assert (await user.ask("/lamps/switch", method="POST", htmx=True)).status_code == 403
    assert done == []
    assert (await manager.ask("/lamps/secret")).status_code == 200
    assert (await manager.ask("/lamps/switch", method="POST", htmx=True)).status_code == 204
    assert done == ["user:manager"]


@pytest.mark.parametrize(
    "headers",
    [
        {"csrf": False},
        {"csrf": False, "X_CSRF_Token": ""},
        {"csrf": False, "X_CSRF_Token": "0" * 64},
        {"Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://evil.test"},
    ],
)
async def test_what_another_page_makes_a_browser_send_is_refused(manager: Answers, headers: dict[str, str]) -> None:
    answer = await manager.ask("/lamps/switch", method="POST", **headers)  # type: ignore[arg-type]
    assert answer.status_code == 403
    assert done == []


async def test_the_token_of_another_session_is_none(signed_in: SignedIn) -> None:
    one, other = await signed_in("manager"), await signed_in("manager")
    answers = console_of(one, LAMPS)
    assert (await answers.ask("/lamps/switch", method="POST", csrf=False, X_CSRF_Token=other.csrf)).status_code == 403
    assert (await answers.ask("/lamps/switch", method="POST", csrf=False, X_CSRF_Token=one.csrf)).status_code == 303


async def test_a_plain_form_carries_the_token_in_a_field(manager: Answers) -> None:
    body = f"csrf_token={manager.somebody.csrf}".encode()
    form = "application/x-www-form-urlencoded"
    answer = await manager.ask("/lamps/switch", method="POST", csrf=False, body=body, Content_Type=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/lamps")
    assert done == ["user:manager"]


async def test_what_changes_something_cannot_be_asked_with_get(manager: Answers) -> None:
    assert (await manager.ask("/lamps/switch")).status_code == 404
    assert done == []


async def test_failures_are_pages_for_people(manager: Answers) -> None:
    answer = await manager.ask("/lamps/conflict")
    assert answer.status_code == 409
    assert "the lamp &lt;b&gt;burns&lt;/b&gt; already" in answer.text
    assert "<nav" in answer.text


async def test_failures_are_messages_where_htmx_asked(manager: Answers) -> None:
    answer = await manager.ask("/lamps/conflict", htmx=True)
    assert (answer.status_code, answer.text, answer.headers["HX-Reswap"]) == (409, "", "none")
    said = json.loads(answer.headers["HX-Trigger"])
    assert said == {"toast": {"message": "the lamp <b>burns</b> already", "kind": "bad"}}


async def test_what_nobody_expected_is_told_to_the_log_alone(
    manager: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await manager.ask("/lamps/broken")
    assert answer.status_code == 500
    assert "a secret" not in answer.text
    assert "a secret" in caplog.text


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("multipart/form-data", b"x", "boundary"),
        ("application/x-www-form-urlencoded", b"a=1&" * 1_001, "Too many fields"),
    ],
)
async def test_a_form_that_cannot_be_read_is_refused_and_fills_no_log(
    visitor: Visitor, caplog: pytest.LogCaptureFixture, kind: str, body: bytes, said: str
) -> None:
    headers = [(b"Content-Type", kind.encode())]
    answer = await visitor.hub.ask(b"/console/sign-in", method=b"POST", headers=headers, body=body)
    assert answer.status == 400
    assert said in answer.body.decode()
    assert "a page failed" not in caplog.text


async def test_a_browser_that_goes_away_is_no_failure(visitor: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    parts: list[Message] = [{"type": "http.request", "body": b"username=us", "more_body": True}]
    sent: list[Message] = []

    async def receive() -> Message:
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    path = {"path": "/console/sign-in", "raw_path": b"/console/sign-in", "query_string": b"", "root_path": ""}
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "headers": headers, **path}
    await console_of(visitor, LAMPS).app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert "a page failed" not in caplog.text


async def test_what_is_away_may_come_back(manager: Answers) -> None:
    answer = await manager.ask("/lamps/away")
    assert answer.status_code == 503
    assert "the database is away" in answer.text
    assert "Try again in a moment" in answer.text


async def test_an_unknown_page_is_not_found_in_the_same_look(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    for path in ("/nothing", "/jobs/x/y/z", "/static/0123456789abcdef/console.css"):
        answer = await somebody.get(path)
        assert answer.status == 404, path
        assert header(answer, "Content-Type").startswith("text/html")


async def test_where_the_page_is_unknown_one_signs_in_first(visitor: Visitor) -> None:
    assert (await visitor.get("/nothing")).status == 303


@pytest.mark.parametrize("number", ["x", "0", "-1", "+1", "1.0", "%D9%A1", "9007199254740993", "99999999999999999999"])
async def test_what_is_no_number_is_not_found(signed_in: SignedIn, number: str) -> None:
    somebody = await signed_in("user")
    for path in (
        "/jobs/",
        "/tasks/",
        "/grid/components/",
        "/grid/reports/",
        "/gateway/calls/",
        "/conversations/imports/",
    ):
        assert (await somebody.get(path + number)).status == 404, path


@pytest.mark.parametrize(
    "path",
    [
        *("/admin/users/%00", "/notifications/messages/%00", "/gateway/upstreams/a%00b", "/nothing/%00"),
        *("/conversations/export/xlsx", "/grid/reports/1/file/docx"),
    ],
)
async def test_what_no_address_can_hold_is_not_found(signed_in: SignedIn, path: str) -> None:
    assert (await (await signed_in("manager")).get(path)).status == 404


@pytest.mark.parametrize("path", ["/admin/users/%00/disable", "/jobs/schedules/%00/run", "/admin/tokens/%00/revoke"])
async def test_nothing_is_done_to_what_no_address_can_hold(signed_in: SignedIn, path: str) -> None:
    assert (await (await signed_in("manager")).act(path)).status == 404
