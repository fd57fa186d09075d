"""What runs here: the versions of Python, of a database and of its schema."""

import platform
from dataclasses import dataclass

from sqlalchemy import Connection

from signalbox.infra.db.migrate import History, current

_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@dataclass(frozen=True, slots=True)
class DatabaseVersion:
    """One database."""

    name: str
    """Such as ``SQLite 3.46.1``."""
    revision: str | None
    """Of its schema, as migrations name it; None where it is empty."""


def read_database(tx: Connection, *, history: History) -> DatabaseVersion:
    """The version of the database behind ``tx``, and the revision of one of its schemas."""
    numbers = tx.dialect.server_version_info or ()
    name = _NAMES.get(tx.dialect.name, tx.dialect.name)
    return DatabaseVersion(f"{name} {'.'.join(map(str, numbers))}".strip(), current(tx, history))


def python_version() -> str:
    """Such as ``CPython 3.12.4 on Linux x86_64``."""
    return f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
