from signalbox.grid import report_schedules, rules
from signalbox.grid.schemas import ScheduleIn, ThresholdRuleIn
from tests.console.conftest import SignedIn
from tests.support.hub import RunningHub


async def plan(hub: RunningHub) -> None:
    db, now = hub.hub.context.db, hub.hub.context.clock.now()
    daily = ScheduleIn(name="Daily <b>", every="day")
    hot = ThresholdRuleIn(name="Hot <b>", measurement_type="POWER", comparison=">", bound=55, readings=3)
    await db.write(report_schedules.add, daily, limit=10, by="test", now=now)
    await db.write(rules.add, hot, limit=10, by="test", now=now)


async def test_nothing_planned_says_what_to_do_next(signed_in: SignedIn) -> None:
    text = await (await signed_in("user")).text("/grid/plans")
    assert "No report is made by itself" in text
    assert "No bound is watched" in text


async def test_schedules_are_paused_and_deleted(signed_in: SignedIn, hub: RunningHub) -> None:
    await plan(hub)
    manager, db = await signed_in("manager"), hub.hub.context.db
    assert "Daily &lt;b&gt;" in await manager.text("/grid/plans")
    assert (await manager.act("/grid/schedules/1/pause", paused="true")).status == 204
    assert (await db.read(report_schedules.show, 1)).paused
    assert "Go on" in await manager.text("/grid/plans", htmx=True)
    assert (await manager.act("/grid/schedules/1/delete")).status == 204
    assert (await db.read(report_schedules.list_schedules, limit=5)).items == []
    assert (await manager.act("/grid/schedules/1/delete")).status == 404
    assert (await manager.act("/grid/schedules/x/pause")).status == 404


async def test_rules_are_deleted(signed_in: SignedIn, hub: RunningHub) -> None:
    await plan(hub)
    manager = await signed_in("manager")
    assert "POWER &gt; 55 for 3 readings" in await manager.text("/grid/plans")
    assert (await manager.act("/grid/rules/1/delete")).status == 204
    assert (await hub.hub.context.db.read(rules.list_rules, limit=5)).items == []
    assert (await manager.act("/grid/rules/x/delete")).status == 404


async def test_users_only_look(signed_in: SignedIn, hub: RunningHub) -> None:
    await plan(hub)
    user = await signed_in("user")
    assert "Delete" not in await user.text("/grid/plans")
    for path in ("schedules/1/pause", "schedules/1/delete", "rules/1/delete"):
        assert (await user.act(f"/grid/{path}")).status == 403
