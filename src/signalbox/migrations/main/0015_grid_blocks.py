"""Rollups of many components together, so that reports read little."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

BLOCK = 2048
"""Series in a block."""


def upgrade() -> None:
    """Create the tables; what is there is built by the sweep."""
    op.create_table(
        "grid_block",
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("block", sa.BigInteger, nullable=False),
        sa.Column("component_type", sa.Text, nullable=False),
        sa.Column("measured", sa.Integer, nullable=False),
        sa.Column("hours", sa.LargeBinary, nullable=False),
        sa.Column("quarters", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("day", "block", "component_type", "measured", name="pk_grid_block"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "grid_stale_block",
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("block", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("day", "block", name="pk_grid_stale_block"),
        sqlite_with_rowid=False,
    )
    op.execute(
        f"INSERT INTO grid_stale_block (day, block) SELECT DISTINCT day, series / {BLOCK} FROM grid_rollup"  # noqa: S608 - a number
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("grid_stale_block")
    op.drop_table("grid_block")
