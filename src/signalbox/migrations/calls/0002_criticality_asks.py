"""How often apps asked for levels of criticality, by minute."""

import sqlalchemy as sa
from alembic import op

revision = "calls_0002"
down_revision = "calls_0001"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "criticality_ask",
        sa.Column("minute", sa.BigInteger, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("signal", sa.Text, nullable=False),
        sa.Column("writer", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("minute", "app", "signal", "writer", name="pk_criticality_ask"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("criticality_ask")
