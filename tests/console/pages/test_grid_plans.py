from typing import Any

from signalbox.auth.audit import AuditFilter
from signalbox.grid import report_schedules, rules
from signalbox.grid.schemas import ScheduleIn, ThresholdRuleIn
from signalbox.ops import service
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


async def test_a_schedule_is_added(signed_in: SignedIn, hub: RunningHub) -> None:
    manager = await signed_in("manager")
    sent: dict[str, Any] = {"name": "Weekly <b>", "every": "week", "timezone": "Europe/Berlin", "delay_minutes": "15"}
    assert (await manager.act("/grid/schedules", **sent)).status == 204
    (made,) = (await hub.hub.context.db.read(report_schedules.list_schedules, limit=5)).items
    assert (made.name, made.every, made.timezone, made.delay_minutes) == ("Weekly <b>", "week", "Europe/Berlin", 15)
    wrongs: list[tuple[dict[str, Any], str]] = [
        ({}, "there is another schedule"),
        ({"name": "B", "timezone": "Nowhere"}, "zone"),
    ]
    for wrong, said in wrongs:
        answer = await manager.act("/grid/schedules", **{**sent, **wrong})
        assert answer.status == 422
        assert said in answer.body.decode()
        assert 'aria-invalid="true"' in answer.body.decode()


async def test_a_rule_is_added(signed_in: SignedIn, hub: RunningHub) -> None:
    manager = await signed_in("manager")
    sent: dict[str, Any] = {
        "name": "Hot",
        "measurement_type": "POWER",
        "comparison": ">",
        "bound": "55.5",
        "readings": "3",
        "clear": "",
    }
    answer = await manager.act("/grid/rules", **{**sent, "component_type": "LINE", "severity": "error"})
    assert answer.status == 204
    (made,) = (await hub.hub.context.db.read(rules.list_rules, limit=5)).items
    assert (made.condition, made.component_type, made.severity) == ("POWER > 55.5 for 3 readings", "LINE", "error")
    wrongs: list[tuple[dict[str, Any], str]] = [
        ({}, "there is another threshold rule"),
        ({"name": "B", "clear": "60"}, "lies on the wrong side"),
        ({"name": "B", "component_id": "7"}, "there is no component 7"),
        ({"name": "B", "component_id": "7", "component_type": "LINE"}, "exclude each other"),
    ]
    for wrong, said in wrongs:
        answer = await manager.act("/grid/rules", **{**sent, **wrong})
        assert answer.status == 422
        assert said in answer.body.decode()


async def test_what_is_added_says_by_which_request(signed_in: SignedIn, hub: RunningHub) -> None:
    manager = await signed_in("manager")
    await manager.act("/grid/schedules", name="Daily", every="day")
    (entry,) = (
        await hub.hub.context.db.read(service.list_audit, wanted=AuditFilter(action="report_schedule.create"), limit=5)
    ).items
    assert entry.request_id


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
    assert "New rule" not in await user.text("/grid/plans")
    for path in ("schedules", "rules", "schedules/1/pause", "schedules/1/delete", "rules/1/delete"):
        assert (await user.act(f"/grid/{path}")).status == 403
