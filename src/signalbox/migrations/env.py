"""Called by Alembic; the connection comes from ``signalbox.infra.db.migrate``."""

from alembic import context

config = context.config
context.configure(
    connection=config.attributes["connection"],
    target_metadata=config.attributes["metadata"],
    version_table=config.attributes["version_table"],
    transactional_ddl=False,  # the caller holds the transaction
)
context.run_migrations()
