"""What the suites of several seams share."""

import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest
import sqlalchemy as sa
import uvloop

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
