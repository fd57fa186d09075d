"""Bring a database to the newest schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData

from signalbox.core.errors import ConflictError
from signalbox.infra.db import tables


class NewerDatabaseError(ConflictError):
    """A newer version of the service has been at this database."""

    code = "newer_database"


History = Literal["main", "calls"]

_LOCK = 0x5167_0001
"""PostgreSQL advisory lock that lets one process migrate at a time."""


def upgrade(engine: Engine, history: History) -> tuple[str | None, str | None]:
    """Apply what is missing, in one transaction; several processes may call this at once.

    Returns:
        The revision before and after.

    Raises:
        NewerDatabaseError: the database knows revisions that this code does not.
    """
    with _config(history) as config, engine.begin() as tx:
        if tx.dialect.name == "postgresql":
            tx.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        config.attributes["connection"] = tx
        before = current(tx, history)
        _check_known(ScriptDirectory.from_config(config), before)
        if before != (head := ScriptDirectory.from_config(config).get_current_head()):
            command.upgrade(config, "head")
        return before, head


def current(tx: Connection, history: History) -> str | None:
    """The revision a database stands at; None where it is empty."""
    return MigrationContext.configure(tx, opts={"version_table": _version_table(history)}).get_current_revision()


def _check_known(script: ScriptDirectory, revision: str | None) -> None:
    known = {each.revision for each in script.walk_revisions()}
    if revision is not None and revision not in known:
        newest = script.get_current_head()
        msg = (
            f"the database is of a newer version ({revision}); this one knows it up to {newest}: install the newer one"
        )
        raise NewerDatabaseError(msg)


@contextmanager
def _config(history: History) -> Iterator[Config]:
    metadata: dict[History, MetaData] = {"main": tables.main, "calls": tables.calls}
    with as_file(files("signalbox.migrations")) as folder:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.set_main_option("path_separator", "os")
        config.set_main_option("version_locations", str(folder / history))
        config.attributes["metadata"] = metadata[history]
        config.attributes["version_table"] = _version_table(history)
        yield config


def _version_table(history: History) -> str:
    return f"alembic_version_{history}"
