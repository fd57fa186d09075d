"""Calls packed by the hundred into blocks, instead of one row for each."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "calls_0003"
down_revision = "calls_0002"

_big_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_names = (
    *("created_at", "path", "route", "upstream", "method", "status", "micros"),
    *("request_bytes", "response_bytes", "client", "app", "request_id"),
)
_call = sa.table("call", sa.column("id"), *map(sa.column, _names))
_block = sa.table(
    "call_block", *map(sa.column, ("id", "first_at", "last_at", "calls", "failed_from", "failed_to", "content"))
)
_created_at, _status = 0, 5
_size, _failed = 512, 400


def upgrade() -> None:
    """Create the table of blocks and pack the rows there are into it."""
    op.create_table(
        "call_block",
        sa.Column("id", _big_id, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("calls", sa.Integer, nullable=False),
        sa.Column("failed_from", sa.Integer),
        sa.Column("failed_to", sa.Integer),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_call_block"),
        sqlite_autoincrement=True,
    )
    for rows in _slices(op.get_bind()):
        op.get_bind().execute(sa.insert(_block), _packed(rows))
    op.create_index("ix_call_block_last_at_calls", "call_block", ["last_at", "calls"])
    failed = sa.text("failed_to IS NOT NULL")
    op.create_index("ix_call_block_failed", "call_block", ["id"], sqlite_where=failed, postgresql_where=failed)
    op.drop_table("call")


def downgrade() -> None:
    """Create an empty table of calls again; blocks are lost, sums stay."""
    op.drop_table("call_block")
    op.create_table(
        "call",
        sa.Column("id", _big_id, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("path", "route", "upstream", "method")),
        sa.Column("status", sa.Integer, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("micros", "request_bytes", "response_bytes")),
        sa.Column("client", sa.String, nullable=False),
        sa.Column("app", sa.String),
        sa.Column("request_id", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_call"),
    )
    op.create_index("ix_call_created_at", "call", ["created_at"])
    failed = sa.text("status >= 400")
    op.create_index("ix_call_failed", "call", ["id"], sqlite_where=failed, postgresql_where=failed)


def _slices(tx: sa.Connection) -> Iterator[Sequence[sa.Row[Any]]]:
    query = sa.select(_call).order_by(_call.c.id).limit(_size)
    rows = tx.execute(query).all()
    while rows:
        yield rows
        rows = tx.execute(query.where(_call.c.id > rows[-1][0])).all()


def _packed(rows: Sequence[sa.Row[Any]]) -> dict[str, Any]:
    calls = [tuple(row)[1:] for row in rows]
    times = [call[_created_at] for call in calls]
    failed = [call[_status] for call in calls if call[_status] >= _failed]
    return {
        "first_at": min(times),
        "last_at": max(times),
        "calls": len(calls),
        "failed_from": min(failed, default=None),
        "failed_to": max(failed, default=None),
        "content": b"\x01" + msgspec.msgpack.encode(calls),
    }
