"""Permits that were given out, and hosts that are paused."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

Micros = sa.BigInteger


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "permit_log",
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.LargeBinary, nullable=False),
        sa.Column("span", Micros, nullable=False),
        sa.Column("permits", sa.LargeBinary, nullable=False),
        sa.Column("latest", Micros, nullable=False),
        sa.Column("ends_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_permit_log"),
    )
    op.create_index("ix_permit_log_span", "permit_log", ["span"])
    op.create_index("ix_permit_log_ends_at", "permit_log", ["ends_at"])
    op.create_table(
        "budget_host",
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("paused_until", Micros),
        sa.Column("polls_asked_at", Micros),
        sa.Column("poll_gap", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("host", name="pk_budget_host"),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("budget_host")
    op.drop_table("permit_log")
