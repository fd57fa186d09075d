"""One row for each block of the grid, with all its groups, so that a report of many days reads few."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

BLOCK = 2048
"""Series in a block."""


def upgrade() -> None:
    """Make the table anew; the sweep builds what was in it."""
    op.drop_table("grid_block")
    op.create_table(
        "grid_block",
        *_key(),
        sa.Column("groups", sa.Text, nullable=False),
        *_parts(),
        sa.PrimaryKeyConstraint("day", "block", name="pk_grid_block"),
        sqlite_with_rowid=False,
    )
    _make_all_stale()


def downgrade() -> None:
    """Make the table as it was; the sweep builds what was in it."""
    op.drop_table("grid_block")
    op.create_table(
        "grid_block",
        *_key(),
        sa.Column("component_type", sa.Text, nullable=False),
        sa.Column("measured", sa.Integer, nullable=False),
        *_parts(),
        sa.PrimaryKeyConstraint("day", "block", "component_type", "measured", name="pk_grid_block"),
        sqlite_with_rowid=False,
    )
    _make_all_stale()


def _key() -> list[sa.Column[int]]:
    return [sa.Column("day", sa.Integer, nullable=False), sa.Column("block", sa.BigInteger, nullable=False)]


def _parts() -> list[sa.Column[bytes]]:
    return [sa.Column(name, sa.LargeBinary, nullable=False) for name in ("hours", "quarters")]


def _make_all_stale() -> None:
    op.execute("DELETE FROM grid_stale_block")
    op.execute(
        f"INSERT INTO grid_stale_block (day, block) SELECT DISTINCT day, series / {BLOCK} FROM grid_rollup"  # noqa: S608 - a number
    )
