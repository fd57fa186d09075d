import pytest
from sqlalchemy import Connection

from signalbox.conversations import service, store
from signalbox.conversations.errors import ImportNotFoundError
from signalbox.infra.context import Context


async def test_imports_have_pages_and_reports(context: Context) -> None:
    number = 0
    for name in "abc":
        number = await context.db.write(
            store.add_import, source=name, actor="a", forced=False, state="queued", now=context.clock.now()
        )

    def report(tx: Connection) -> None:
        store.change_import(tx, number, now=5, report='{"files": [], "notes": []}')

    await context.db.write(report)
    page = await context.db.read(service.list_imports, cursor=None, limit=2)
    assert [(each.source, each.report) for each in page.items] == [("c", None), ("b", None)]
    rest = await context.db.read(service.list_imports, cursor=page.next_cursor, limit=2)
    assert ([each.source for each in rest.items], rest.next_cursor) == (["a"], None)
    assert (await context.db.read(service.show_import, number)).report == {"files": [], "notes": []}
    with pytest.raises(ImportNotFoundError):
        await context.db.read(service.show_import, 99)


async def test_times_have_zones(context: Context) -> None:
    number = await context.db.write(store.add_import, source="x", actor="a", forced=False, state="queued", now=7)
    of = await context.db.read(store.find_import, number)
    assert of is not None
    assert service.to_out(of).created_at.isoformat() == "1970-01-01T00:00:00.000007+00:00"
