import pytest

from signalbox.infra.broadcast.memory import MemoryBroadcast
from tests.support.databases import Place


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_nothing_is_heard_before_the_commit_and_nothing_without_one(place: Place) -> None:
    broadcast, heard = MemoryBroadcast(), list[str | None]()
    await broadcast.open()
    broadcast.subscribe("news", heard.append)
    engine = place.engine()
    with engine.connect() as tx:
        broadcast.publish(tx, "news", "a")  # nobody commits
    engine.dispose()
    assert heard == []
    assert broadcast.hears
    await broadcast.close()
