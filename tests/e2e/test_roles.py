"""Split roles on one PostgreSQL database: what each does while the database is there, and while it is not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from signalbox.infra.events import Event, has_new, publish
from tests.e2e.conftest import Shop
from tests.support.databases import PostgresqlPlace, PostgresqlServer
from tests.support.processes import Server, admin_token, ask, run, serving, until


@pytest.fixture
def place(postgresql_server: PostgresqlServer) -> Iterator[PostgresqlPlace]:
    with postgresql_server.database() as lent:
        yield lent


def readiness(server: Server) -> tuple[int, str]:
    answer = ask(f"{server.url}/readyz")
    return answer.status, answer.json["status"]


def calls(api: Server) -> int:
    summary = ask(f"{api.url}/api/statistics/summary", token=admin_token(api))
    return int(summary.json["totals"]["calls"])


def tell(place: PostgresqlPlace) -> None:
    """Publish an event beside the servers."""
    engine = place.engine()
    with engine.begin() as tx:
        publish(tx, Event("test.happened", {}), now=1)
    engine.dispose()


def new_events(place: PostgresqlPlace) -> bool:
    """Whether there are events that no worker took."""
    engine = place.engine()
    with engine.connect() as tx:
        found = has_new(tx)
    engine.dispose()
    return found


def test_roles_share_a_database_and_the_gateway_outlives_it(
    postgresql_server: PostgresqlServer, place: PostgresqlPlace, shop: Shop, tmp_path: Path
) -> None:
    variables = {**shop.variables, "DATABASE_URL": place.url}
    with (
        serving("--role", "api", folder=tmp_path / "api", **variables) as api,
        serving("--role", "worker", folder=tmp_path / "worker", **variables) as worker,
        serving("--role", "gateway", folder=tmp_path / "gateway", **variables) as gateway,
    ):
        assert [readiness(each) for each in (api, worker, gateway)] == [(200, "ready")] * 3
        assert [ask(f"{each.url}/status/203").status for each in (api, worker, gateway)] == [404, 404, 203]
        assert [ask(f"{each.url}/api/audit").status for each in (api, worker)] == [401, 404]
        until(lambda: calls(api) == 1)

        made = run("tokens", "create", "--app", "a", "--scope", "gateway", folder=tmp_path, DATABASE_URL=place.url)
        token = made.out.strip()
        assert ask(f"{gateway.url}/status/203", token=token).status == 203

        assert [b"signalbox_jobs_" in ask(f"{each.url}/metrics").body for each in (worker, api, gateway)] == [
            True,
            False,
            False,
        ]
        tell(place)
        until(lambda: not new_events(place))

        with postgresql_server.closed(place):
            until(lambda: readiness(gateway) == (200, "degraded"))
            until(lambda: readiness(api) == (503, "unready"))
            assert ask(f"{gateway.url}/status/203").status == 203
            assert ask(f"{gateway.url}/status/203", token=token).status == 203
            unknown = ask(f"{gateway.url}/status/203", token="sbx_" + "x" * 40)
            assert (unknown.status, unknown.json["code"]) == (503, "database_unavailable")
            statistics = ask(f"{api.url}/api/statistics/", headers={"Token": "sbx_" + "x" * 40})
            assert (statistics.status, statistics.headers["content-type"]) == (503, "application/problem+json")
            late = _start_without_database(tmp_path, variables)

        until(lambda: [readiness(each) for each in (api, gateway)] == [(200, "ready")] * 2)
        until(lambda: calls(api) == 5 + late)
        assert [each.end() for each in (gateway, worker, api)] == [0, 0, 0]


def _start_without_database(folder: Path, variables: dict[str, str]) -> int:
    """Start a gateway while the database is away, and end it; how many of its calls will be written."""
    with serving("--role", "gateway", folder=folder / "late", **variables) as late:
        assert late.logged("started without the database")
        assert readiness(late) == (200, "degraded")
        assert ask(f"{late.url}/status/203").status == 203
        assert late.end() == 0
    refused = run("serve", "--role", "api", "--port", "0", folder=folder, **variables)
    assert refused.code == 5
    assert "the database does not answer" in refused.err
    return 0
