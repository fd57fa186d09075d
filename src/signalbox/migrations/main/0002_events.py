"""The outbox of events."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Micros = sa.BigInteger


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "event",
        sa.Column("id", BigId, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("dedup_key", sa.Text),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("taken_at", Micros),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
        sa.UniqueConstraint("dedup_key", name="uq_event_dedup_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_created_at", "event", ["created_at"])
    op.create_index("ix_event_topic_id", "event", ["topic", "id"])
    new = sa.text("taken_at IS NULL")
    op.create_index("ix_event_new", "event", ["id"], sqlite_where=new, postgresql_where=new)


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("event")
