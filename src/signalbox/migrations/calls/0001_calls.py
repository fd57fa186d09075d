"""Calls, and their sums by minute and hour."""

import sqlalchemy as sa
from alembic import op

revision = "calls_0001"
down_revision = None

_big_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "call",
        sa.Column("id", _big_id, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("route", sa.String, nullable=False),
        sa.Column("upstream", sa.String, nullable=False),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("micros", sa.BigInteger, nullable=False),
        sa.Column("request_bytes", sa.BigInteger, nullable=False),
        sa.Column("response_bytes", sa.BigInteger, nullable=False),
        sa.Column("client", sa.String, nullable=False),
        sa.Column("app", sa.String),
        sa.Column("request_id", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_call"),
    )
    op.create_index("ix_call_created_at", "call", ["created_at"])
    failed = sa.text("status >= 400")
    op.create_index("ix_call_failed", "call", ["id"], sqlite_where=failed, postgresql_where=failed)
    op.create_table(
        "call_minute",
        sa.Column("minute", sa.BigInteger, nullable=False),
        sa.Column("upstream", sa.String, nullable=False),
        sa.Column("route", sa.String, nullable=False),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("writer", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("micros", sa.BigInteger, nullable=False),
        sa.Column("request_bytes", sa.BigInteger, nullable=False),
        sa.Column("response_bytes", sa.BigInteger, nullable=False),
        sa.Column("latency", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("minute", "upstream", "route", "method", "status", "writer", name="pk_call_minute"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "call_hour",
        sa.Column("hour", sa.BigInteger, nullable=False),
        sa.Column("upstream", sa.String, nullable=False),
        sa.Column("route", sa.String, nullable=False),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("micros", sa.BigInteger, nullable=False),
        sa.Column("request_bytes", sa.BigInteger, nullable=False),
        sa.Column("response_bytes", sa.BigInteger, nullable=False),
        sa.Column("latency", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("hour", "upstream", "route", "method", "status", name="pk_call_hour"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "call_hour_due",
        sa.Column("hour", sa.BigInteger, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("hour", name="pk_call_hour_due"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("call_hour_due")
    op.drop_table("call_hour")
    op.drop_table("call_minute")
    op.drop_table("call")
