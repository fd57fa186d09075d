import json

import pytest

from signalbox.auth.principal import Principal
from signalbox.console.errors import ForgedRequestError, ManagerOnlyError, SignInFirstError
from signalbox.console.page import Page, Upload
from signalbox.console.routes import build_uploads
from signalbox.console.services import Services
from signalbox.console.uploads import Gate
from signalbox.core.asgi import Message, Receive, Scope, Send, answer
from tests.console.conftest import SignedIn, Visitor, services_of
from tests.console.test_cookies import request


async def take(services: Services, scope: Scope, receive: Receive, send: Send, principal: Principal) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = json.dumps({"size": size, "by": principal.actor, "at": services.context.clock.now() > 0}).encode()
    await answer(scope, send, status=202, headers=[(b"content-length", b"%d" % len(body))], body=body)


FILES = Upload("/lamps/import", take)


async def check(somebody: Visitor, *, csrf: str | None, upload: Upload = FILES, **headers: str) -> Principal:
    sent = {"cookie": somebody.cookie, **headers}
    if csrf is not None:
        sent["x_csrf_token"] = csrf
    return await Gate(services_of(somebody.hub)).check(request(**sent), upload)


async def test_a_manager_may_send_a_file(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    assert (await check(somebody, csrf=somebody.csrf)).name == "manager"


async def test_others_are_refused_before_a_byte_is_read(signed_in: SignedIn, visitor: Visitor) -> None:
    user, manager = await signed_in("user"), await signed_in("manager")
    with pytest.raises(SignInFirstError):
        await check(visitor, csrf=manager.csrf)
    with pytest.raises(ManagerOnlyError):
        await check(user, csrf=user.csrf)
    with pytest.raises(ForgedRequestError):
        await check(manager, csrf=None)
    with pytest.raises(ForgedRequestError):
        await check(manager, csrf=user.csrf)
    with pytest.raises(ForgedRequestError):
        await check(manager, csrf=manager.csrf, sec_fetch_site="cross-site")
    assert (await check(user, csrf=user.csrf, upload=Upload("/x", take, role="user"))).name == "user"


async def test_a_page_declares_what_takes_its_files(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    page = Page("lamps", "/lamps", "Lamps", "overview", (), uploads=(FILES,))
    (poll,) = build_uploads(services_of(somebody.hub), [page])
    assert (poll.method, poll.path, poll.scope, poll.hidden) == ("POST", "/console/lamps/import", None, True)
    pieces: list[Message] = [
        {"type": "http.request", "body": b"x" * 600_000, "more_body": more} for more in (True, True, False)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return pieces.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"cookie", somebody.cookie.encode()), (b"x-csrf-token", somebody.csrf.encode())]
    scope = {"type": "http", "method": "POST", "path": "/console/lamps/import", "headers": headers}
    await poll.handle(scope, receive, send, somebody.hub.hub.auth.anonymous)
    assert json.loads(sent[-1]["body"]) == {"size": 1_800_000, "by": "user:manager", "at": True}
