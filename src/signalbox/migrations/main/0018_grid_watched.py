"""Series with new readings that threshold rules are yet to be held against."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Micros = sa.BigInteger


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "grid_watched",
        sa.Column("id", BigId, nullable=False),
        sa.Column("series", sa.BigInteger, nullable=False),
        sa.Column("after", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_grid_watched"),
    )
    op.create_index("ix_grid_watched_series", "grid_watched", ["series"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("grid_watched")
