"""Fewer indexes on what polls change: on PostgreSQL each of them had a new entry for every task that changed."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_OPEN = sa.text("status <> 'Completed'")


def upgrade() -> None:
    """Index statuses but the most usual one; on PostgreSQL providers by block."""
    op.drop_index("ix_task_status_id", "task")
    op.create_index("ix_task_status_id", "task", ["status", "id"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_task_provider_id", "task")
        op.create_index("ix_task_provider_id", "task", ["provider", "id"], postgresql_using="brin")


def downgrade() -> None:
    """Index all of them again."""
    op.drop_index("ix_task_status_id", "task")
    op.create_index("ix_task_status_id", "task", ["status", "id"])
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_task_provider_id", "task")
        op.create_index("ix_task_provider_id", "task", ["provider", "id"])
