"""PostgreSQL databases that live as long as a measurement."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

SERVER = os.environ.get("SIGNALBOX_TEST_POSTGRESQL_URL") or "postgresql://postgres@127.0.0.1:5432/postgres"


@contextmanager
def postgresql_database() -> Iterator[str]:
    """Yield the address of an empty database."""
    name = f"signalbox_bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(SERVER, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield SERVER.rpartition("/")[0] + f"/{name}"
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def server_version() -> str:
    """Return what the server says it is."""
    with psycopg.connect(SERVER) as connection:
        return f"PostgreSQL {connection.info.server_version // 10_000}.{connection.info.server_version % 10_000}"
