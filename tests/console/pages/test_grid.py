from typing import Any

import pytest

from signalbox.core.times import MINUTE, to_datetime
from signalbox.grid import components, intake
from signalbox.grid.errors import ComponentNotFoundError
from signalbox.grid.schemas import NewReading
from tests.console.conftest import SignedIn, header
from tests.support.hub import RunningHub

LINE: dict[str, Any] = {
    "component_type": "LINE",
    "name": "L1",
    "substation": "North <b>",
    "length_km": "12.5",
    "voltage_kv": "110",
}


async def measure(hub: RunningHub, number: int, count: int) -> None:
    db, now = hub.hub.context.db, hub.hub.context.clock.now()
    rows = [NewReading(number, float(i % 50), "POWER", to_datetime(now - i * MINUTE)) for i in range(1, count + 1)]
    await db.write(intake.accept_many, rows, now=now)


async def test_an_empty_grid_says_what_to_do_next(signed_in: SignedIn) -> None:
    text = await (await signed_in("user")).text("/grid")
    assert "There are no components" in text
    assert "New component" not in text


async def test_a_component_is_added_changed_and_deleted(signed_in: SignedIn, hub: RunningHub) -> None:
    manager, db = await signed_in("manager"), hub.hub.context.db
    answer = await manager.act("/grid/components", **LINE)
    assert header(answer, "HX-Redirect") == "/console/grid/components/1"
    assert "North &lt;b&gt;" in await manager.text("/grid")
    assert 'value="12.5"' in await manager.text("/grid/components/1")
    answer = await manager.act("/grid/components/1", **{**LINE, "length_km": "13"})
    assert answer.status == 204
    found = await db.read(components.show, 1)
    assert found.model_dump()["length_km"] == 13
    assert (await manager.act("/grid/components/1/delete")).status == 204
    with pytest.raises(ComponentNotFoundError):
        await db.read(components.show, 1)
    assert (await manager.get("/grid/components/1")).status == 404
    assert (await manager.get("/grid/components/x")).status == 404


async def test_the_form_says_what_is_wrong(signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    answer = await manager.act("/grid/components", **{**LINE, "length_km": "-1"})
    assert answer.status == 422
    assert "greater than 0" in answer.body.decode()
    await manager.act("/grid/components", **LINE)
    answer = await manager.act("/grid/components", **LINE)
    assert answer.status == 422
    assert "there is a component" in answer.body.decode()


async def test_each_kind_has_its_form(signed_in: SignedIn) -> None:
    text = await (await signed_in("manager")).text("/grid/form?component_type=SWITCH", htmx=True)
    assert '<option value="OPEN">' in text
    assert "length_km" not in text


@pytest.mark.parametrize("path", ["components", "components/1", "components/1/delete", "reports", "reports/1/rerun"])
async def test_users_only_look(signed_in: SignedIn, path: str) -> None:
    assert (await (await signed_in("user")).act(f"/grid/{path}", **LINE)).status == 403


async def test_a_line_has_no_more_points_than_can_be_seen(signed_in: SignedIn, hub: RunningHub) -> None:
    somebody = await signed_in("manager")
    await somebody.act("/grid/components", **LINE)
    await measure(hub, 1, 5_000)
    drawn = await somebody.json("/grid/components/1/power.json?period=7d")
    assert len(drawn["times"]) == len(drawn["series"][0]["values"]) == 900
    now = hub.hub.context.clock.now()
    since, until = (to_datetime(each).isoformat().replace("+00:00", "Z") for each in (now - 30 * MINUTE, now))
    closer = await somebody.json(f"/grid/components/1/power.json?since={since}&until={until}")
    assert 28 <= len(closer["times"]) <= 30
    assert (await somebody.json("/grid/components/1/voltage.json"))["times"] == []
    assert (await somebody.get("/grid/components/1/colour.json")).status == 404
    assert "Power" in await somebody.text("/grid/components/1")


async def test_components_are_taken_along(signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    await manager.act("/grid/components", **LINE)
    assert "North <b>" in await manager.text("/grid/components.csv")
