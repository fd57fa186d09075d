"""Levels of criticality: signals, their history, who was told of what, and who asks."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Micros = sa.BigInteger


def upgrade() -> None:
    """Create the tables."""
    _create_signal()
    _create_change()
    op.create_table(
        "criticality_delivery",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("signal", sa.Text, nullable=False),
        sa.Column("delivered", sa.BigInteger, nullable=False),
        sa.Column("delivered_at", Micros),
        sa.Column("acknowledged", sa.BigInteger, nullable=False),
        sa.Column("acknowledged_at", Micros),
        sa.PrimaryKeyConstraint("app", "signal", name="pk_criticality_delivery"),
    )
    _create_consumer()
    op.create_table(
        "criticality_pulse",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("beat_at", Micros, nullable=False),
        sa.Column("up_since", Micros, nullable=False),
        sa.CheckConstraint("id = 1", name="ck_criticality_pulse_single"),
        sa.PrimaryKeyConstraint("id", name="pk_criticality_pulse"),
    )


def downgrade() -> None:
    """Drop the tables."""
    for name in ("pulse", "consumer", "delivery", "change", "signal"):
        op.drop_table(f"criticality_{name}")


def _create_signal() -> None:
    op.create_table(
        "criticality_signal",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("last_revision", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("level", sa.Integer),
        sa.Column("changed_at", Micros),
        sa.Column("received_at", Micros),
        sa.Column("set_by", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("held_level", sa.Integer),
        sa.Column("held_until", Micros),
        sa.PrimaryKeyConstraint("name", name="pk_criticality_signal"),
    )


def _create_change() -> None:
    op.create_table(
        "criticality_change",
        sa.Column("signal", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("changed_at", Micros, nullable=False),
        sa.Column("received_at", Micros, nullable=False),
        sa.Column("set_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("why", sa.Text),
        sa.CheckConstraint("why IN ('older', 'same_time', 'held')", name="ck_criticality_change_why"),
        sa.PrimaryKeyConstraint("signal", "revision", name="pk_criticality_change"),
    )
    op.create_index("ix_criticality_change_received_at", "criticality_change", ["received_at"])


def _create_consumer() -> None:
    op.create_table(
        "criticality_consumer",
        sa.Column("id", BigId, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("signal", sa.Text, nullable=False),
        sa.Column("period", Micros),
        sa.Column("registered_at", Micros),
        sa.Column("first_asked_at", Micros),
        sa.Column("last_asked_at", Micros),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("muted", sa.Boolean, nullable=False),
        sa.Column("retired_at", Micros),
        sa.Column("overdue_at", Micros),
        sa.Column("silent_since", Micros),
        sa.PrimaryKeyConstraint("id", name="pk_criticality_consumer"),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_criticality_consumer_app_signal", "criticality_consumer", ["app", "signal"], unique=True)
    watched = sa.text("overdue_at IS NOT NULL AND silent_since IS NULL")
    silent = sa.text("silent_since IS NOT NULL")
    _create_index("overdue", "overdue_at", watched)
    _create_index("silent", "silent_since", silent)


def _create_index(name: str, column: str, condition: sa.TextClause) -> None:
    op.create_index(
        f"ix_criticality_consumer_{name}",
        "criticality_consumer",
        [column],
        sqlite_where=condition,
        postgresql_where=condition,
    )
