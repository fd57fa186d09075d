"""Scheduled reports, and threshold rules on measurements."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Micros = sa.BigInteger


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "grid_schedule",
        sa.Column("id", BigId, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("every", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("delay", Micros, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("next_start", Micros, nullable=False),
        sa.Column("next_end", Micros, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("updated_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_grid_schedule"),
        sa.UniqueConstraint("name", name="uq_grid_schedule_name"),
        sqlite_autoincrement=True,
    )
    op.add_column("grid_report", sa.Column("schedule_id", sa.BigInteger))
    op.create_index("ix_grid_report_schedule_id_id", "grid_report", ["schedule_id", "id"])
    _create_rules()


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("grid_rule_state")
    op.drop_table("grid_rule")
    op.drop_index("ix_grid_report_schedule_id_id", "grid_report")
    op.drop_column("grid_report", "schedule_id")
    op.drop_table("grid_schedule")


def _create_rules() -> None:
    op.create_table(
        "grid_rule",
        sa.Column("id", BigId, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("measurement_type", sa.Text, nullable=False),
        sa.Column("comparison", sa.Text, nullable=False),
        sa.Column("bound", sa.Double, nullable=False),
        sa.Column("clear", sa.Double, nullable=False),
        sa.Column("readings", sa.Integer, nullable=False),
        sa.Column("component_id", sa.BigInteger),
        sa.Column("component_type", sa.Text),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("updated_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_grid_rule"),
        sa.UniqueConstraint("name", name="uq_grid_rule_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "grid_rule_state",
        sa.Column("rule_id", sa.BigInteger, nullable=False),
        sa.Column("component_id", sa.BigInteger, nullable=False),
        sa.Column("raised", sa.Boolean, nullable=False),
        sa.Column("changed_at", Micros, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("seen_until", Micros, nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "component_id", name="pk_grid_rule_state"),
    )
    op.create_index("ix_grid_rule_state_component_id", "grid_rule_state", ["component_id"])
