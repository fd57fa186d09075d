"""Tasks, their history, and what is kept of each provider."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Micros = sa.BigInteger


def upgrade() -> None:
    """Create the tables."""
    _create_task()
    op.create_table(
        "task_history",
        sa.Column("id", BigId, nullable=False),
        sa.Column("task", sa.BigInteger, nullable=False),
        sa.Column("at", Micros, nullable=False),
        sa.Column("status_from", sa.Text, nullable=False),
        sa.Column("status_to", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("detail", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_task_history"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_task_history_task_id", "task_history", ["task", "id"])
    op.create_table(
        "task_provider",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("last_app", sa.Text, nullable=False),
        sa.Column("polled_at", Micros),
        sa.Column("poll_error", sa.Text),
        sa.Column("found", sa.Integer, nullable=False),
        sa.Column("changed", sa.Integer, nullable=False),
        sa.Column("unknown", sa.Integer, nullable=False),
        sa.Column("bad", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("unchanged", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_task_provider"),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("task_provider")
    op.drop_table("task_history")
    op.drop_table("task")


def _create_task() -> None:
    op.create_table(
        "task",
        sa.Column("id", BigId, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("validation_error", sa.Text),
        sa.Column("raw_status", sa.Text),
        sa.Column("flag", sa.Text),
        sa.Column("external_id", sa.Text),
        sa.Column("poll_key", sa.Text),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("missed_polls", sa.Integer, nullable=False),
        sa.Column("next_at", Micros, nullable=False),
        sa.Column("sent_at", Micros),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("updated_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_task"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_task_status_id", "task", ["status", "id"])
    op.create_index("ix_task_provider_id", "task", ["provider", "id"])
    op.create_index("ix_task_updated_at", "task", ["updated_at"])
    _create_index("ix_task_queued", ["provider", "app", "next_at", "id"], where="phase = 'queued'")
    _create_index("ix_task_submitting", ["provider"], where="phase = 'submitting'")
    _create_index("ix_task_unclear", ["provider", "next_at"], where="phase = 'unclear'")
    _create_index("ix_task_submitted", ["provider", "id"], where="phase = 'submitted'")
    _create_index("ix_task_submitted_next", ["provider", "next_at"], where="phase = 'submitted'")


def _create_index(name: str, columns: list[str], *, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "task", columns, sqlite_where=condition, postgresql_where=condition)
