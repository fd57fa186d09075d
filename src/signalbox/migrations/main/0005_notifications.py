"""Notifications: messages, deliveries and their attempts, channels, silences."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Micros = sa.BigInteger


def upgrade() -> None:
    """Create the tables."""
    _create_message()
    _create_delivery()
    _create_attempt()
    op.create_table(
        "notification_channel",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("disabled_at", Micros),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("paused_until", Micros),
        sa.Column("sends", sa.Text),
        sa.PrimaryKeyConstraint("name", name="pk_notification_channel"),
    )
    op.create_table(
        "notification_mark",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("until", Micros, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name="pk_notification_mark"),
    )
    op.create_index("ix_notification_mark_until", "notification_mark", ["until"])
    _create_silence()


def downgrade() -> None:
    """Drop the tables."""
    for name in ("silence", "mark", "channel", "attempt", "delivery", "message"):
        op.drop_table(f"notification_{name}")


def _create_message() -> None:
    op.create_table(
        "notification_message",
        sa.Column("number", BigId, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("app", sa.Text),
        sa.Column("customer", sa.Text),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("dedup_key", sa.Text),
        sa.Column("routes", sa.Text, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_notification_message"),
        sa.UniqueConstraint("id", name="uq_notification_message_id"),
    )
    op.create_index("ix_notification_message_created_at", "notification_message", ["created_at"])
    op.create_index("ix_notification_message_topic_number", "notification_message", ["topic", "number"])


def _create_delivery() -> None:
    op.create_table(
        "notification_delivery",
        sa.Column("number", BigId, nullable=False),
        sa.Column("message", BigId, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", Micros, nullable=False),
        sa.Column("since", Micros, nullable=False),
        sa.Column("group_key", sa.Text),
        sa.Column("carried_by", BigId),
        sa.Column("reason", sa.Text),
        sa.Column("provider_id", sa.Text),
        sa.Column("ended_at", Micros),
        sa.PrimaryKeyConstraint("number", name="pk_notification_delivery"),
        sa.ForeignKeyConstraint(["message"], ["notification_message.number"], name="fk_notification_delivery_message"),
        sa.UniqueConstraint("message", "channel", name="uq_notification_delivery_message_channel"),
    )
    _create_delivery_index("waiting", ["channel", "number"], where="state = 'pending'")
    _create_delivery_index("open", ["state", "message"], where="state <> 'sent'")
    _create_delivery_index("group", ["group_key", "number"], where="group_key IS NOT NULL AND state = 'pending'")
    op.create_index("ix_notification_delivery_carried_by", "notification_delivery", ["carried_by"])


def _create_delivery_index(name: str, columns: list[str], *, where: str) -> None:
    table, condition = "notification_delivery", sa.text(where)
    op.create_index(f"ix_{table}_{name}", table, columns, sqlite_where=condition, postgresql_where=condition)


def _create_attempt() -> None:
    op.create_table(
        "notification_attempt",
        sa.Column("id", BigId, nullable=False),
        sa.Column("delivery", BigId, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("at", Micros, nullable=False),
        sa.Column("micros", Micros, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("excerpt", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_notification_attempt"),
        sa.ForeignKeyConstraint(
            ["delivery"], ["notification_delivery.number"], name="fk_notification_attempt_delivery"
        ),
    )
    op.create_index("ix_notification_attempt_delivery", "notification_attempt", ["delivery"])
    op.create_index("ix_notification_attempt_channel_outcome_at", "notification_attempt", ["channel", "outcome", "at"])


def _create_silence() -> None:
    op.create_table(
        "notification_silence",
        sa.Column("id", BigId, nullable=False),
        sa.Column("matcher", sa.Text, nullable=False),
        sa.Column("starts_at", Micros, nullable=False),
        sa.Column("ends_at", Micros, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notification_silence"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notification_silence_ends_at", "notification_silence", ["ends_at"])
