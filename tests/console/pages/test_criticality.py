import re
from typing import Any

import pytest
from sqlalchemy import Connection

from signalbox.auth.audit import AuditFilter
from signalbox.core.times import MINUTE
from signalbox.criticality import consumer_store
from signalbox.criticality.schemas import NewConsumer
from signalbox.criticality.service import consumers
from signalbox.ops import service
from tests.console.conftest import SignedIn, header, told
from tests.support.hub import RunningHub


async def expect(hub: RunningHub, app: str, signal: str = "default") -> None:
    context = hub.hub.context
    new = NewConsumer(app=app, signal=signal, interval="5m")
    await context.db.write(consumers.register, new, actor="test", now=context.clock.now())


def actions(tx: Connection) -> list[tuple[str, str | None]]:
    return [(each.action, each.actor) for each in service.list_audit(tx, wanted=AuditFilter(), limit=5).items]


async def test_an_empty_hub_says_what_to_do_next(signed_in: SignedIn) -> None:
    text = await (await signed_in("user")).text("/criticality")
    assert "signalbox criticality set 1" in text
    assert "No consumers" in text
    assert "Nobody has asked" in text
    assert "Make the first by hand:</p><code>signalbox criticality set 1</code>" in text
    assert "Ask once:</p><code>curl /api/criticality -H" in text
    assert "Report one: <code>signalbox criticality set 1</code>" in text
    assert "Set level" not in text


async def test_a_manager_sets_a_level(signed_in: SignedIn, hub: RunningHub) -> None:
    manager = await signed_in("manager")
    answer = await manager.act("/criticality/level", signal="default", level="4", reason="storm <b>")
    assert answer.status == 204
    assert told(answer)["toast"]["message"] == "default stands at 4."
    assert "live:criticality" in told(answer)
    (signal,) = await hub.hub.context.db.read(consumers.list_signals)
    assert (signal.level, signal.reason, signal.set_by) == (4, "storm <b>", "user:manager")
    assert ("level.set", "user:manager") in await hub.hub.context.db.read(actions)
    text = await manager.text("/criticality")
    assert "Level 4 of 5" in text
    assert "storm &lt;b&gt;" in text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"level": "9"}, "from 1 to 5"),
        ({"level": ""}, "Field required"),
        ({"level": "2", "signal": "No Name"}, "is no name of a signal"),
    ],
)
async def test_the_form_says_what_is_wrong(signed_in: SignedIn, fields: dict[str, Any], message: str) -> None:
    answer = await (await signed_in("manager")).act("/criticality/level", **fields)
    assert answer.status == 422
    assert message in answer.body.decode().replace("&#39;", "'")


async def test_consumers_are_expected_muted_and_retired(signed_in: SignedIn, hub: RunningHub) -> None:
    manager, db, now = await signed_in("manager"), hub.hub.context.db, hub.hub.context.clock.now()
    assert (await manager.act("/criticality/consumers", app="tv", signal="default", interval="10m")).status == 204
    assert (await manager.act("/criticality/consumers/mute", app="tv", muted="true")).status == 204
    assert (await db.read(consumers.read_consumer, "tv", "default", now=now)).state == "muted"
    assert (await db.read(consumers.read_consumer, "tv", "default", now=now)).interval == "10m"
    assert (await manager.act("/criticality/consumers/mute", app="tv", muted="false")).status == 204
    assert (await db.read(consumers.read_consumer, "tv", "default", now=now)).state == "unseen"
    assert (await manager.act("/criticality/consumers/retire", app="tv")).status == 204
    assert (await db.read(consumers.read_consumer, "tv", "default", now=now)).state == "retired"
    assert ("consumer.retire", "user:manager") in await db.read(actions)


async def test_what_is_not_there_cannot_be_muted(signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    answer = await manager.act("/criticality/consumers/mute", app="nobody")
    assert answer.status == 404
    assert "never registered" in told(answer)["toast"]["message"]


async def test_an_interval_that_means_nothing_is_refused(signed_in: SignedIn) -> None:
    answer = await (await signed_in("manager")).act("/criticality/consumers", app="tv", interval="soon")
    assert answer.status == 422
    assert 'aria-invalid="true"' in answer.body.decode()


async def test_a_silent_consumer_has_a_pill_here_and_on_the_overview(signed_in: SignedIn, hub: RunningHub) -> None:
    somebody = await signed_in("user")
    await expect(hub, "tv")
    assert "all consumers ask</span>" in await somebody.text("/overview/criticality", htmx=True)
    await fall_silent(hub, "tv")
    for path in ("", "/overview/criticality"):
        text = await somebody.text(path)
        assert re.search(r'data-state="warning">.*silent</span><span>tv</span>', text)
        assert "all consumers ask" not in text
    assert "1 consumer is silent" in await somebody.text("/overview/parts", htmx=True)
    for path in ("/criticality", "/criticality/consumers?state=silent"):
        assert re.search(
            r'data-label="State"><span class="pill" data-state="bad">.*silent</span>', await somebody.text(path)
        )


async def fall_silent(hub: RunningHub, app: str) -> None:
    """As though it had been expected to ask a minute ago, and had not."""
    db, now = hub.hub.context.db, hub.hub.context.clock.now()
    values = {"overdue_at": now - MINUTE, "silent_since": now - MINUTE}
    await db.write(consumer_store.put_consumer, app, "default", values)


@pytest.mark.parametrize("path", ["level", "consumers", "consumers/mute", "consumers/retire"])
async def test_users_only_look(signed_in: SignedIn, hub: RunningHub, path: str) -> None:
    await expect(hub, "tv")
    answer = await (await signed_in("user")).act(f"/criticality/{path}", app="tv", level="5", interval="5m")
    assert answer.status == 403
    assert header(answer, "HX-Reswap") == "none"


async def test_signals_and_states_are_chosen_in_the_address(signed_in: SignedIn, hub: RunningHub) -> None:
    manager = await signed_in("manager")
    await manager.act("/criticality/level", signal="power", level="2")
    await expect(hub, "display")
    await expect(hub, "pump", "power")
    text = await manager.text("/criticality?signal=power")
    assert "pump" in text
    assert "display" not in text
    assert "No consumer is in this state" in await manager.text("/criticality/consumers?state=retired", htmx=True)
    assert (await manager.get("/criticality?signal=No%20Name")).status == 400
    assert (await manager.get("/criticality?state=odd")).status == 422


async def test_parts_are_asked_for_one_by_one(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    for part in ("level", "consumers", "asks", "history"):
        text = await somebody.text(f"/criticality/{part}?period=7d", htmx=True)
        assert f'id="{part}"' in text
        assert "<html" not in text
