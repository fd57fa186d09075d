"""What a schedule enqueues, and since when it is paused: to be run and paused by hand, from any process."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

Micros = sa.BigInteger


def upgrade() -> None:
    """Add the columns; who runs schedules fills them in when it starts."""
    op.add_column("job_schedule", sa.Column("kind", sa.Text, nullable=False, server_default=""))
    op.add_column("job_schedule", sa.Column("payload", sa.Text, nullable=False, server_default="{}"))
    op.add_column("job_schedule", sa.Column("priority", sa.SmallInteger, nullable=False, server_default="0"))
    op.add_column("job_schedule", sa.Column("paused_at", Micros))


def downgrade() -> None:
    """Drop them."""
    for name in ("paused_at", "priority", "payload", "kind"):
        op.drop_column("job_schedule", name)
