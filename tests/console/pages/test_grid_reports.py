import asyncio
from typing import Any

from signalbox.grid import reports
from tests.console.conftest import SignedIn, header
from tests.console.pages.test_grid import LINE, measure
from tests.support.databases import Place
from tests.support.hub import RunningHub
from tests.support.timing import PATIENCE

ORDER: dict[str, Any] = {
    "name": "Week <b>",
    "start_date": "2020-01-01",
    "end_date": "2030-01-01",
    "timezone": "Europe/Berlin",
}


async def finished(hub: RunningHub, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await hub.hub.context.db.read(reports.show, number)).status != "completed":
            await asyncio.sleep(0.05)


async def test_a_report_is_ordered_read_and_taken_along(signed_in: SignedIn, hub: RunningHub, place: Place) -> None:
    manager = await signed_in("manager")
    assert "There are no reports" in await manager.text("/grid/reports")
    await manager.act("/grid/components", **LINE)
    await measure(hub, 1, 2_000)
    assert (await manager.act("/grid/reports", **ORDER)).status == 204
    assert "Week &lt;b&gt;" in await manager.text("/grid/reports", htmx=True)
    await finished(hub, 1)
    text = await manager.text("/grid/reports/1")
    assert "Power, by day" in text
    assert "12.5 km" in text
    assert 'class="plot"' in text
    assert '(<time datetime="2019-12-31T23:00:00.000Z"' in text, "the period is told relative to now, too"
    for path in ("/grid/reports", "/grid/reports/1"):
        assert ' data-confirm="Make report 1 anew? What it says now is dropped at once."' in await manager.text(path)
    assert "<style" not in text
    for form, begin in (("csv", b"day,"), ("html", b"<!doctype")):
        answer = await manager.get(f"/grid/reports/1/file/{form}")
        assert answer.body.lower().startswith(begin)
        assert header(answer, "Content-Disposition") == f'attachment; filename="report-1.{form}"'
    assert (await manager.act("/grid/reports/1/rerun")).status == 204
    await finished(hub, 1)
    assert (await manager.act("/grid/reports/1/delete")).status == 204
    assert (await manager.get("/grid/reports/1")).status == 404


async def test_the_form_says_what_is_wrong(signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    answer = await manager.act("/grid/reports", **{**ORDER, "timezone": "Europe/Nowhere"})
    assert answer.status == 422
    assert 'id="field-timezone" name="timezone" required aria-invalid="true"' in answer.body.decode()
    answer = await manager.act("/grid/reports", **{**ORDER, "end_date": "2019-01-01"})
    assert answer.status == 422
    assert 'aria-invalid="true"' in answer.body.decode()
