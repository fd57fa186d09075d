import shlex

import pytest

from signalbox.console.pages.calls import curl_of, filters_of, state_of
from signalbox.core.errors import UnprocessableError
from signalbox.core.times import MINUTE, to_datetime
from signalbox.gateway import service
from signalbox.gateway.schemas import CallOut, Filters
from tests.console.conftest import SignedIn
from tests.support.hub import RunningHub

NOW = 1_800_000_000_000_000


def call(path: str = "/items/1", *, method: str = "GET", app: str | None = None) -> CallOut:
    return CallOut(
        id=1,
        path=path,
        status_code=200,
        seconds=0.1,
        created_at=to_datetime(NOW),
        method=method,
        route="/items/{id}",
        upstream="shop",
        request_bytes=0,
        response_bytes=0,
        client="192.0.2.1",
        app=app,
        request_id="id",
    )


def words(made: CallOut) -> list[str]:
    """The command as a shell reads it."""
    return shlex.split(curl_of(made, origin="http://hub.test", root="/b"))


def test_a_call_as_a_command() -> None:
    assert words(call()) == [
        "curl", "--include", "--path-as-is", "--globoff", "--request", "GET", "http://hub.test/b/items/1",
    ]  # fmt: skip


def test_whoever_needs_a_token_puts_in_their_own() -> None:
    assert words(call(app="it's"))[-4:] == ["--header", "Token: $SIGNALBOX_TOKEN", "--header", "App-name: it's"]


def test_only_the_head_of_an_answer_is_asked_for_by_an_option() -> None:
    assert "--head" in words(call(method="HEAD"))
    assert "HEAD" not in words(call(method="HEAD"))


@pytest.mark.parametrize("path", ["/a'b", "/$(reboot)", "/a b;c", "/`id`", '/"x"', "/a\nb", "/[1-9]{a,b}", "/../x"])
def test_no_path_gets_out_of_its_quotes(path: str) -> None:
    assert words(call(path))[-1] == f"http://hub.test/b{path}"
    assert words(call(method=path))[5] == path


def test_filters_of_an_address() -> None:
    assert filters_of({}, now=NOW) == Filters()
    asked = {"upstream": "shop", "method": "get", "status": "5xx", "path": "/a", "since": "1m", "until": "1970-01-02"}
    assert filters_of(asked, now=NOW) == Filters(
        upstream="shop",
        method="GET",
        status=(500, 599),
        path_prefix="/a",
        since=NOW - MINUTE,
        until=86_400_000_000,
    )


@pytest.mark.parametrize("name", ["status", "since", "until"])
def test_a_filter_that_cannot_be_read_is_named(name: str) -> None:
    with pytest.raises(UnprocessableError) as caught:
        filters_of({name: "9xx"}, now=NOW)
    assert [fault.where for fault in caught.value.faults] == [name]


@pytest.mark.parametrize(
    ("status", "state"), [(200, "ok"), (302, "ok"), (404, "warning"), (499, "warning"), (500, "bad")]
)
def test_states(status: int, state: str) -> None:
    assert state_of(status) == state


async def test_the_log_is_filtered(hub: RunningHub, signed_in: SignedIn) -> None:
    await hub.ask(b"/nobody/a", method=b"GET")
    await hub.ask(b"/nobody/b", method=b"DELETE")
    await hub.flush()
    user = await signed_in("user")
    whole = await user.text("/gateway/calls")
    assert "GET /nobody/a" in whole
    assert "DELETE /nobody/b" in whole
    rows = await user.text("/gateway/calls/rows?method=DELETE&status=404", htmx=True)
    assert "/nobody/a" not in rows
    assert 'hx-get="/console/gateway/calls/rows?method=DELETE&amp;status=404"' in rows
    assert "Take away a filter" in await user.text("/gateway/calls/rows?status=200", htmx=True)
    answer = await user.get("/gateway/calls?status=9xx")
    assert answer.status == 422
    assert "is no status" in answer.body.decode()


async def test_one_call_with_all_that_is_known(hub: RunningHub, signed_in: SignedIn) -> None:
    await hub.ask(b"/nobody/<img%20src=x%20onerror=alert(1)>")
    await hub.flush()
    page = await hub.hub.context.calls_db.read(service.list_calls, Filters(), cursor=None, limit=1)
    user = await signed_in("user")
    text = await user.text(f"/gateway/calls/{page.items[0].id}")
    assert page.items[0].request_id in text
    assert "Copy as curl" in text
    assert "<img" not in text
    for number in ("1", "-1", "x", "9" * 5_000, "%D9%A3"):
        assert (await user.get(f"/gateway/calls/{number}")).status == 404


async def test_older_calls_do_not_change_by_themselves(hub: RunningHub, signed_in: SignedIn) -> None:
    for _ in range(60):
        await hub.ask(b"/nobody/a")
    await hub.flush()
    user = await signed_in("user")
    rows = await user.text("/gateway/calls/rows?status=4xx", htmx=True)
    older = rows.split('href="/console/gateway/calls?')[1].split('"')[0].replace("&amp;", "&")
    text = await user.text(f"/gateway/calls/rows?{older}", htmx=True)
    assert "/nobody/a" in text
    assert "live:gateway" not in text
