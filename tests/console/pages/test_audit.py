from sqlalchemy import Connection

from signalbox.auth.audit import record
from tests.console.conftest import SignedIn, Visitor

EVIL = "<img src=x onerror=alert(1)>"


def note(tx: Connection, *, actor: str = "user:anna", action: str = "lamp.switch", target: str, at: int) -> None:
    record(
        tx, actor=actor, action=action, target=target, before={"on": False}, after={"on": True}, at=at, request_id=None
    )


async def entered(signed_in: SignedIn) -> Visitor:
    """A manager, after a change a minute ago and one now."""
    manager = await signed_in("manager")
    context = manager.hub.hub.context
    now = context.clock.now()
    await context.db.write(note, target="lamp:1", at=now - 3_600_000_000)
    await context.db.write(note, actor="cli:root", action="lamp.add", target="lamp:2", at=now)
    return manager


async def rows(somebody: Visitor, query: str) -> str:
    return await somebody.text(f"/admin/audit/rows?{query}", htmx=True)


async def test_the_trail_tells_how_it_was_and_is(signed_in: SignedIn) -> None:
    text = await (await entered(signed_in)).text("/admin/audit")
    assert "&#34;on&#34;: false" in text
    assert "&#34;on&#34;: true" in text
    assert text.index("lamp:2") < text.index("lamp:1")


async def test_filters(signed_in: SignedIn) -> None:
    manager = await entered(signed_in)
    for query, found in (
        ("actor=cli:root", {"lamp:2"}),
        ("action=lamp.switch", {"lamp:1"}),
        ("target=lamp:1", {"lamp:1"}),
        ("since=10m&action=lamp.add", {"lamp:2"}),
        ("until=10m", {"lamp:1"}),
        ("actor=nobody", set()),
    ):
        text = await rows(manager, query)
        assert {name for name in ("lamp:1", "lamp:2") if f">{name}<" in text} == found, query
    assert "Take away a filter" in await rows(manager, "actor=nobody")


async def test_what_cannot_be_read_is_said(signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    answer = await manager.get("/admin/audit?since=yesterday")
    assert answer.status == 422
    assert "is no time" in answer.body.decode()
    assert (await manager.get("/admin/audit/rows?actor=%00", htmx=True)).status == 422


async def test_older_pages_do_not_change_by_themselves(signed_in: SignedIn) -> None:
    manager = await entered(signed_in)
    context = manager.hub.hub.context
    for number in range(60):
        await context.db.write(note, target=f"lamp:{100 + number}", at=context.clock.now())
    text = await rows(manager, "action=lamp.switch")
    assert "live:audit" in text
    cursor = text.split("cursor=")[1].split('"')[0].replace("&amp;", "&")
    older = await rows(manager, f"action=lamp.switch&cursor={cursor}")
    assert ">lamp:1<" in older
    assert "live:audit" not in older


async def test_what_outsiders_write_stays_text(signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    context = manager.hub.hub.context
    await context.db.write(note, actor=EVIL, action=EVIL, target=EVIL, at=context.clock.now())
    assert "<img" not in await manager.text("/admin/audit")


async def test_only_managers_read_it(signed_in: SignedIn) -> None:
    user = await signed_in("user")
    assert (await user.get("/admin/audit")).status == 403
    assert (await user.get("/admin/audit/rows", htmx=True)).status == 403
    assert "/admin/audit" not in await user.text("/admin/system")
