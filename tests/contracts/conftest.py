"""What the suites of several seams share."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa
import uvloop

from signalbox.infra.http import HttpClient
from signalbox.infra.http.pool import PooledClient
from signalbox.sandbox.rawserver import RawUpstream
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.upstream import UpstreamApp
from tests.support.databases import Place

metadata = sa.MetaData()
item = sa.Table("item", metadata, sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("name", sa.String))


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops that tests may ask for; the hub runs on uvloop, whose sockets are not asyncio's."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def items(place: Place) -> Iterator[sa.Table]:
    """An empty table in the main database of ``place``."""
    engine = place.engine()
    metadata.create_all(engine)
    yield item
    metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def certificate_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


@pytest.fixture
def certificate(certificate_files: tuple[Path, Path]) -> ssl.SSLContext:
    """What a server at 127.0.0.1 shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate_files)
    return context


@pytest.fixture
def trusted(certificate_files: tuple[Path, Path]) -> ssl.SSLContext:
    """A client's trust in that server alone."""
    return ssl.create_default_context(cafile=certificate_files[0])


@pytest.fixture(params=[PooledClient])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[HttpClient]:
    made: HttpClient = request.param()
    yield made
    await made.close()


@pytest.fixture
async def raw() -> AsyncIterator[RawUpstream]:
    async with RawUpstream() as upstream:
        yield upstream


@pytest.fixture
async def shop() -> AsyncIterator[LoopbackServer]:
    async with LoopbackServer(UpstreamApp(latency=False)) as server:
        yield server
