"""The grid: components, readings in chunks with their rollups, and reports."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Micros = sa.BigInteger


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "grid_component",
        sa.Column("id", BigId, nullable=False),
        sa.Column("component_type", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("substation", sa.Text, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("updated_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_grid_component"),
        sa.UniqueConstraint("substation", "name", name="uq_grid_component_substation_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_grid_component_component_type_id", "grid_component", ["component_type", "id"])
    op.create_table(
        "grid_chunk",
        sa.Column("series", sa.BigInteger, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("first_at", Micros, nullable=False),
        sa.Column("last_at", Micros, nullable=False),
        sa.Column("quarters", sa.LargeBinary, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("series", "day", name="pk_grid_chunk"),
    )
    op.create_table(
        "grid_rollup",
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("series", sa.BigInteger, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("mean", sa.Double, nullable=False),
        sa.Column("m2", sa.Double, nullable=False),
        sa.Column("min", sa.Double, nullable=False),
        sa.Column("max", sa.Double, nullable=False),
        sa.Column("occupied", sa.Integer, nullable=False),
        sa.Column("hours", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("day", "series", name="pk_grid_rollup"),
    )
    op.create_index("ix_grid_rollup_series_day", "grid_rollup", ["series", "day"])
    op.create_table(
        "grid_tail",
        sa.Column("series", sa.BigInteger, nullable=False),
        sa.Column("at", Micros, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("series", "at", name="pk_grid_tail"),
        sqlite_with_rowid=False,
    )
    _create_report()


def downgrade() -> None:
    """Drop the tables."""
    for table in ("grid_report", "grid_tail", "grid_rollup", "grid_chunk", "grid_component"):
        op.drop_table(table)


def _create_report() -> None:
    op.create_table(
        "grid_report",
        sa.Column("id", BigId, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("start_at", Micros, nullable=False),
        sa.Column("end_at", Micros, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("progress", sa.Double, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("result", sa.Text),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("ended_at", Micros),
        sa.PrimaryKeyConstraint("id", name="pk_grid_report"),
        sqlite_autoincrement=True,
    )
