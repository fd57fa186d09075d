"""Sessions: people who are signed in with a browser."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

Micros = sa.BigInteger


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "session",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("expires_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_session"),
    )
    op.create_index("ix_session_name_key", "session", ["name_key"])
    op.create_index("ix_session_expires_at", "session", ["expires_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("session")
