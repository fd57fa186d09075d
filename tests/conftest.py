"""What tests of every feature start from: real databases, a clock, a context."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from signalbox.gateway.cache_entry import RecordCodec
from signalbox.infra.broadcast.memory import MemoryBroadcast
from signalbox.infra.cache.memory import MemoryCache
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context
from signalbox.infra.db import Database
from signalbox.infra.http.pool import PooledClient
from signalbox.infra.http.recorded import RecordedClient
from signalbox.infra.limits.budgets import Budgets
from signalbox.infra.limits.memory import MemoryLimiter
from signalbox.infra.telemetry import Metrics
from tests.support.databases import Place, PostgresqlServer, ServerMissingError, SqliteTemplate, open_postgresql_server

settings.register_profile("signalbox", deadline=None)  # how long an example takes says more of the machine than of us
settings.load_profile("signalbox")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> SqliteTemplate:
    """Migrated SQLite files."""
    return SqliteTemplate(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """The PostgreSQL server, with a migrated template; without one, the tests that need it fail."""
    try:
        server = open_postgresql_server()
    except ServerMissingError as error:
        pytest.fail(str(error), pytrace=False)
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Fresh, migrated databases of each dialect, to be opened as often as a test likes."""
    if request.param == "sqlite":
        template: SqliteTemplate = request.getfixturevalue("sqlite_template")
        yield template.copy_to(tmp_path)
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    with server.database() as made:
        yield made


@pytest.fixture
async def database(place: Place) -> AsyncIterator[Database]:
    """The main database of ``place``, open."""
    opened = place.open()
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until the test moves it."""
    return ManualClock()


@pytest.fixture
async def context(place: Place, database: Database, clock: ManualClock) -> AsyncIterator[Context]:
    """Everything a feature needs, on real databases and a clock moved by hand."""
    calls_db = place.open_calls()
    http = PooledClient()
    outbound = RecordedClient(http, clock)
    yield Context(
        clock=clock,
        db=database,
        calls_db=calls_db,
        http=http,
        outbound=outbound,
        answers=MemoryCache(RecordCodec(), clock=clock),
        limiter=MemoryLimiter(clock),
        budgets=Budgets([], database, clock),
        metrics=Metrics(),
        broadcast=MemoryBroadcast(),
    )
    await http.close()
    await calls_db.close()
