"""How often one app asked is found without a look at all the others."""

from alembic import op

revision = "calls_0004"
down_revision = "calls_0003"


def upgrade() -> None:
    """Create the index."""
    op.create_index("ix_criticality_ask_app_minute", "criticality_ask", ["app", "minute"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_criticality_ask_app_minute", "criticality_ask")
