import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from signalbox.app.features import Feature
from signalbox.app.hub import calls_path, make_folder, open_hub, upgrade_databases
from signalbox.app.load import Sources, load
from signalbox.app.settings import Settings
from signalbox.auth.security import Guard
from signalbox.core.errors import SettingsError, UnavailableError
from signalbox.infra.context import Context
from signalbox.infra.db import DatabaseDamagedError
from signalbox.infra.telemetry import Metrics
from tests.app.conftest import Site, is_problem, open_site
from tests.support.databases import Place, PostgresqlServer
from tests.support.hub import settings_at
from tests.support.timing import PATIENCE

AWAY = "postgresql://nobody:hunter2@127.0.0.1:1/nowhere"


@pytest.fixture
def postgresql_place(postgresql_server: PostgresqlServer) -> Iterator[Place]:
    """PostgreSQL: roles other than ``all`` need it."""
    with postgresql_server.database() as place:
        yield place


async def statuses(site: Site, *paths: str) -> list[int]:
    return [(await site.client.get(path)).status_code for path in paths]


def upstream(shop: str, **more: Any) -> dict[str, Any]:
    return {"upstreams": [{"name": "shop", "url": shop}], "default": "shop", **more}


# -- roles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "own", "me", "proxied"),
    [("all", 401, 401, 203), ("api", 401, 401, 404), ("gateway", 404, 404, 203), ("worker", 404, 404, 404)],
)
async def test_each_role_serves_its_part(
    postgresql_place: Place, shop: str, role: str, own: int, me: int, proxied: int
) -> None:
    async with open_site(settings_at(postgresql_place, role=role, gateway=upstream(shop))) as site:
        assert await statuses(site, "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json") == [200] * 5
        assert await statuses(site, "/api/audit", "/auth/me", "/status/203") == [own, me, proxied]
        if role in ("api", "worker"):
            is_problem(await site.client.get("/status/203"), status=404, code="not_found")


async def test_only_the_gateway_is_ready_without_a_database(shop: str) -> None:
    for role, status, word in (("gateway", 200, "degraded"), ("api", 503, "unready"), ("worker", 503, "unready")):
        settings = load({"role": role, "database_url": AWAY, "gateway": upstream(shop)}, Sources())
        async with open_site(settings) as site:
            answer = await site.client.get("/readyz")
            assert (answer.status_code, answer.json()["status"]) == (status, word)
            assert "hunter2" not in answer.text
            assert (await site.client.get("/healthz")).status_code == 200
            if role == "gateway":
                assert (await site.client.get("/status/203")).status_code == 203


# -- life -------------------------------------------------------------------------------------------------------------


def count_calls(settings: Settings, place: Place) -> int:
    main = settings.sqlite_path
    engine = place.engine() if main is None else sa.create_engine(f"sqlite:///{calls_path(main)}")
    with engine.connect() as tx:
        count: int = tx.exec_driver_sql("SELECT coalesce(sum(calls), 0) FROM call_block").scalar_one()
    engine.dispose()
    return count


async def test_statistics_are_written_when_a_hub_closes(place: Place, shop: str) -> None:
    settings = settings_at(place, gateway=upstream(shop))
    async with open_site(settings) as site:
        assert await statuses(site, *["/status/203"] * 7) == [203] * 7
    assert count_calls(settings, place) == 7


async def test_retention_follows_the_settings_in_force(sqlite_place: Place, shop: str) -> None:
    settings = settings_at(sqlite_place, gateway=upstream(shop))
    async with open_site(settings) as site:
        await statuses(site, "/status/203", "/status/203")
        await site.running.flush()
        hub = site.running.hub
        assert await hub.sweeper.sweep() == 0
        hub.reload(settings_at(sqlite_place, gateway=upstream(shop), retention={"calls": "1s"}))
        await asyncio.sleep(1.1)  # calls must be older than the shortest span that can be set
        assert await hub.sweeper.sweep() == 2
    assert count_calls(settings, sqlite_place) == 0


async def test_workers_leave_their_numbers_for_each_other(postgresql_place: Place, tmp_path: Path) -> None:
    settings = settings_at(postgresql_place, workers=2)
    async with open_hub(settings, metrics=Metrics(worker=1, folder=tmp_path)):
        async with asyncio.timeout(PATIENCE):
            while not (tmp_path / "worker-1.prom").exists():
                await asyncio.sleep(0.01)
        other = Metrics(worker=0, folder=tmp_path).render().decode()
    assert 'worker="1"' in other


# -- reloading --------------------------------------------------------------------------------------------------------


async def test_new_settings_are_taken_while_serving(sqlite_place: Place, shop: str) -> None:
    async with open_site(settings_at(sqlite_place)) as site:
        assert await statuses(site, "/status/203", "/api/statistics") == [404, 401]
        auth = {"anonymous_scopes": ["gateway", "statistics:read"]}
        stale = site.running.hub.reload(settings_at(sqlite_place, gateway=upstream(shop), auth=auth, drain_delay=1.0))
        assert stale == []
        assert await statuses(site, "/status/203", "/api/statistics") == [203, 200]
        assert site.running.hub.settings.drain_delay == 1.0


async def test_features_take_new_settings(sqlite_place: Place) -> None:
    taken: list[float] = []

    def build(_context: Context, _settings: Settings, _guard: Guard) -> Feature:
        return Feature("eager", reload=lambda settings: taken.append(settings.drain_delay))

    async with open_site(settings_at(sqlite_place), extra=[build]) as site:
        site.running.hub.reload(settings_at(sqlite_place, drain_delay=2.0))
    assert taken == [2.0]


async def test_what_needs_a_restart_is_named_until_it_is_back(sqlite_place: Place) -> None:
    async with open_hub(settings_at(sqlite_place)) as hub:
        changed = settings_at(sqlite_place, port=1, root_path="/b", auth={"jwt_key": "k" * 32})
        assert hub.reload(changed) == ["port", "root_path", "auth.jwt_key"]
        assert hub.reload(changed) == ["port", "root_path", "auth.jwt_key"]
        assert hub.reload(settings_at(sqlite_place, port=1)) == ["port"]
        assert hub.reload(settings_at(sqlite_place)) == []


async def test_what_needs_a_restart_is_not_in_force_before_it(sqlite_place: Place) -> None:
    shown: list[Settings] = []

    def build(_context: Context, _settings: Settings, _guard: Guard) -> Feature:
        return Feature("eager", reload=shown.append)

    begun = settings_at(sqlite_place)
    async with open_site(begun, extra=[build]) as site:
        hub = site.running.hub
        hub.reload(settings_at(sqlite_place, port=1, drain_delay=2.0, auth={"jwt_key": "k" * 32}))
        assert shown == [hub.settings]
        assert (hub.settings.port, hub.settings.drain_delay) == (begun.port, 2.0)
        assert hub.settings.auth.jwt_key == begun.auth.jwt_key


# -- databases --------------------------------------------------------------------------------------------------------


def test_statistics_lie_beside_the_main_file() -> None:
    assert calls_path(Path("a/signalbox.db")) == Path("a/signalbox-calls.db")
    assert calls_path(Path("own.sqlite")) == Path("own-calls.sqlite")


def test_databases_are_made_once(tmp_path: Path) -> None:
    settings = load({"data_dir": tmp_path / "new" / "folder"}, Sources())
    first = upgrade_databases(settings)
    assert {name: before for name, (before, _) in first.items()} == {"main": None, "calls": None}
    second = upgrade_databases(settings)
    assert {name: (after, after) for name, (_, after) in first.items()} == second
    files = {path.name for path in (tmp_path / "new" / "folder").glob("*.db")}
    assert files == {"signalbox.db", "signalbox-calls.db"}


def test_an_absent_database_is_an_expected_failure() -> None:
    with pytest.raises(UnavailableError, match=r"does not answer: .*; does its server run, .* database_url") as caught:
        upgrade_databases(load({"database_url": AWAY}, Sources()))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["signalbox.db", "signalbox-calls.db"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no database" * 1000)
    with pytest.raises(DatabaseDamagedError, match=f"{name} is damaged .* put a backup in its place"):
        upgrade_databases(load({"data_dir": tmp_path}, Sources()))


def test_a_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="data_dir: cannot be made") as caught:
        make_folder(tmp_path / "file" / "signalbox.db")
    assert str(tmp_path / "file") in str(caught.value)
    make_folder(tmp_path / "a" / "b" / "signalbox.db")
    assert (tmp_path / "a" / "b").is_dir()
