from pathlib import Path

from signalbox.app.features.notifications import build
from signalbox.app.load import Sources, load
from signalbox.app.settings import Settings
from signalbox.auth.runtime import AuthRuntime
from signalbox.auth.security import Guard
from signalbox.core.times import DAY
from signalbox.infra.context import Context
from signalbox.notifications import store
from signalbox.notifications.intake import accept
from signalbox.notifications.listing import MessageFilter, list_messages
from tests.notifications.conftest import START, message_of, routing_of

CHANNELS = [{"kind": "log", "name": "chat"}]


def settings(tmp_path: Path, **more: object) -> Settings:
    return load({"data_dir": str(tmp_path), **more}, Sources())


async def test_events_are_listened_to_where_a_route_may_take_them(context: Context, tmp_path: Path) -> None:
    guard = Guard(AuthRuntime(context, settings(tmp_path).auth))
    assert [each.name for each in build(context, settings(tmp_path), guard).subscribers] == ["notifications.deliveries"]
    routes = [{"topic": "*", "channels": ["chat"]}]
    made = build(context, settings(tmp_path, notifications={"channels": CHANNELS, "routes": routes}), guard)
    assert [each.name for each in made.subscribers] == ["notifications.deliveries", "notifications"]
    assert list(made.kinds) == ["notifications.deliver.chat"]
    assert [door.path for door in made.doors] == ["/api/assistance", "/api/hooks/{name}"]


async def test_messages_are_swept_at_the_age_of_the_settings_in_force(context: Context, tmp_path: Path) -> None:
    guard = Guard(AuthRuntime(context, settings(tmp_path).auth))
    made = build(context, settings(tmp_path), guard)
    await context.db.write(accept, message_of(), routing=routing_of("chat"), now=START)
    await context.db.write(store.set_sent, 1, provider_id=None, now=START)

    async def sweep() -> int:
        for each in made.sweeps:
            await each.db.write(each.step, START + 10 * DAY, 100)
        return len((await context.db.read(list_messages, MessageFilter(), limit=9)).items)

    assert await sweep() == 1
    assert made.reload is not None
    made.reload(settings(tmp_path, retention={"notifications": "9d"}))
    assert await sweep() == 0
