"""Retired consumers of criticality are found without a look at all the others."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_RETIRED = sa.text("retired_at IS NOT NULL")


def upgrade() -> None:
    """Create the index."""
    op.create_index(
        "ix_criticality_consumer_retired",
        "criticality_consumer",
        ["id"],
        sqlite_where=_RETIRED,
        postgresql_where=_RETIRED,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_criticality_consumer_retired", "criticality_consumer")
