"""Jobs and schedules."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Micros = sa.BigInteger


def upgrade() -> None:
    """Create the tables."""
    _create_job()
    op.create_table(
        "job_schedule",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("next_at", Micros, nullable=False),
        sa.Column("last_at", Micros),
        sa.PrimaryKeyConstraint("name", name="pk_job_schedule"),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("job_schedule")
    op.drop_table("job")


def _create_job() -> None:
    op.create_table(
        "job",
        sa.Column("id", BigId, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("priority", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("due_at", Micros, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("since", Micros, nullable=False),
        sa.Column("max_age", Micros, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("claim", sa.Integer, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("lease_until", Micros),
        sa.Column("cancel_at", Micros),
        sa.Column("error", sa.Text),
        sa.Column("traceparent", sa.Text),
        sa.Column("started_at", Micros),
        sa.Column("ended_at", Micros),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        sqlite_autoincrement=True,
    )
    _create_index("ix_job_waiting", ["kind", "priority", "due_at", "id"], where="state = 'waiting'")
    _create_index("ix_job_running", ["lease_until"], where="state = 'running'")
    live = "key IS NOT NULL AND state IN ('waiting', 'running')"
    _create_index("uq_job_live_key", ["kind", "key"], where=live, unique=True)
    _create_index("ix_job_ended", ["state", "ended_at"], where="ended_at IS NOT NULL")


def _create_index(name: str, columns: list[str], *, where: str, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, "job", columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
