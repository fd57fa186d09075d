"""The console of a real hub, and somebody who visits it without a browser."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
import uvloop
from fastapi import FastAPI

from signalbox.app.features.console import build_services
from signalbox.auth import users
from signalbox.auth.passwords import Cost, Passwords
from signalbox.auth.scopes import Role
from signalbox.console.live import Live, Sources
from signalbox.console.page import Page
from signalbox.console.routes import build_router
from signalbox.console.services import Services
from tests.support.databases import Place, PostgresqlServer, SqliteTemplate
from tests.support.hub import Answer, RunningHub, running_hub, settings_at

PASSWORD = "correct horse"
CHEAP = Cost(time_cost=1, memory_kib=8, parallelism=1)
FORM = (b"Content-Type", b"application/x-www-form-urlencoded")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of production."""
    return {"uvloop": uvloop.new_event_loop}


def header(answer: Answer, name: str) -> str:
    """A header of an answer; empty where it has none."""
    return (answer.value(name.lower().encode()) or b"").decode()


def told(answer: Answer) -> dict[str, Any]:
    """What ``HX-Trigger`` says: the message, and topics that have changed."""
    said: dict[str, Any] = json.loads(header(answer, "HX-Trigger"))
    return said


@dataclass
class Visitor:
    """Somebody with a cookie, or none."""

    hub: RunningHub
    cookie: str = ""
    csrf: str = ""

    async def get(self, path: str = "", *, htmx: bool = False, **headers: str) -> Answer:
        """Ask for a path below ``/console``."""
        return await self._ask("GET", path, b"", {**({"HX-Request": "true"} if htmx else {}), **headers})

    async def text(self, path: str = "", *, htmx: bool = False) -> str:
        """A page that must be there."""
        answer = await self.get(path, htmx=htmx)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.body.decode()

    async def json(self, path: str) -> Any:
        """What a chart is drawn from."""
        return json.loads(await self.text(path))

    async def act(self, path: str, *, csrf: str | None = None, htmx: bool = True, **fields: str) -> Answer:
        """Press a button of a page, as htmx does; names of fields as they are."""
        extra = {"X-CSRF-Token": self.csrf if csrf is None else csrf}
        if htmx:
            extra["HX-Request"] = "true"
        return await self.post(path, headers=extra, **fields)

    async def post(self, path: str, *, headers: Mapping[str, str] | None = None, **fields: str) -> Answer:
        """Send a plain form."""
        return await self.send(path, fields, headers)

    async def send(self, path: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        """Send a plain form whose fields may have any name."""
        return await self._ask("POST", path, urlencode(fields).encode(), headers or {})

    async def sign_in(self, name: str, password: str = PASSWORD, **more: str) -> Answer:
        """Sign in; afterwards with the cookie."""
        answer = await self.send("/sign-in", {"username": name, "password": password, **more})
        if answer.status == 303:
            self.cookie = header(answer, "Set-Cookie").partition(";")[0]
            found = re.search(r'data-csrf="([0-9a-f]+)"', await self.text())
            assert found is not None
            self.csrf = unescape(found[1])
        return answer

    async def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        if self.cookie:
            fields.append((b"Cookie", self.cookie.encode()))
        if body:
            fields.append(FORM)
        target = f"{self.hub.hub.settings.root_path}/console{path}".encode()
        return await self.hub.ask(target, method=method.encode(), headers=fields, body=body)


@pytest.fixture
def place(sqlite_template: SqliteTemplate, tmp_path: Path) -> Place:
    """SQLite alone: the console holds no queries, and those of the services are tested on both."""
    return sqlite_template.copy_to(tmp_path)


@pytest.fixture
def postgresql_place(postgresql_server: PostgresqlServer) -> Iterator[Place]:
    """PostgreSQL, for the few tests of what is shown otherwise there."""
    with postgresql_server.database() as made:
        yield made


def services_of(hub: RunningHub) -> Services:
    """What the pages of a hub may ask."""
    of = hub.hub
    return build_services(of.context, of.settings, of.features, auth=of.auth, probe=of.probe, gateway=of.gateway)


@dataclass
class Answers:
    """A console of other pages than ours, on the services of a hub; headers of the last answer are kept."""

    app: FastAPI
    somebody: "Visitor"

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        csrf: bool = True,
        htmx: bool = False,
        body: bytes = b"",
        **headers: str,
    ) -> httpx2.Response:
        """As the signed-in visitor; names of headers are spelt with ``_`` for ``-``."""
        sent = {"Cookie": self.somebody.cookie, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if csrf:
            sent["X-CSRF-Token"] = self.somebody.csrf
        if htmx:
            sent["HX-Request"] = "true"
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), base_url="http://hub.test") as client:
            return await client.request(method, f"/console{path}", headers=sent, content=body)


def console_of(somebody: "Visitor", *pages: Page) -> Answers:
    """The console with these pages, as somebody sees it."""
    services = services_of(somebody.hub)
    app = FastAPI()
    app.include_router(build_router(services, Live(services.context, services.auth.sessions, Sources()), pages))
    return Answers(app, somebody)


SignedIn = Callable[[Role], Awaitable[Visitor]]
"""``await signed_in("manager")``: somebody of this role."""


async def add_user(hub: RunningHub, name: str, role: Role) -> None:
    passwords = Passwords(cost=CHEAP)
    hashed = await passwords.hash(PASSWORD)
    passwords.close()
    db, at = hub.hub.context.db, hub.hub.context.clock.now()
    await db.write(users.add_user, name=name, password=hashed, role=role, actor="test", at=at)


@pytest.fixture
async def hub(place: Place) -> AsyncIterator[RunningHub]:
    """A hub with the users ``user`` and ``manager``."""
    async with running_hub(settings_at(place)) as running:
        await add_user(running, "user", "user")
        await add_user(running, "manager", "manager")
        yield running


@pytest.fixture
def visitor(hub: RunningHub) -> Visitor:
    """Nobody yet."""
    return Visitor(hub)


@pytest.fixture
def signed_in(hub: RunningHub) -> SignedIn:
    """Makes visitors who are signed in."""

    async def enter(role: Role) -> Visitor:
        made = Visitor(hub)
        assert (await made.sign_in(role)).status == 303
        return made

    return enter
