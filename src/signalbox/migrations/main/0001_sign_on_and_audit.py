"""Sign-on and the audit trail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Micros = sa.BigInteger
Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Create users, app tokens, the audit trail, kept secrets and the revision counter."""
    _create_users()
    _create_app_token()
    _create_audit()
    op.create_table("secret", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False))
    auth_revision = op.create_table(
        "auth_revision",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revision", BigId, nullable=False),
        sa.CheckConstraint("id = 1", name="single"),
    )
    op.execute(auth_revision.insert().values(id=1, revision=0))


def downgrade() -> None:
    """Drop what ``upgrade`` made."""
    for table in ("auth_revision", "secret", "audit", "app_token", "users"):
        op.drop_table(table)


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False, unique=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("password_changed_at", Micros, nullable=False),
        sa.Column("disabled_at", Micros),
        sa.Column("last_login_at", Micros),
        sa.CheckConstraint("role IN ('user', 'manager')", name="role"),
    )


def _create_app_token() -> None:
    op.create_table(
        "app_token",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("app", sa.Text),
        sa.Column("any_app", sa.Boolean, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False, index=True),
        sa.Column("hash", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("scopes", Json, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", Micros),
        sa.Column("revoked_at", Micros),
        sa.Column("last_used_at", Micros),
        sa.CheckConstraint("any_app OR app IS NOT NULL", name="app"),
    )


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("at", Micros, nullable=False, index=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("before", Json),
        sa.Column("after", Json),
        sa.Column("request_id", sa.Text),
    )
    op.create_index("ix_audit_actor_id", "audit", ["actor", "id"])
    op.create_index("ix_audit_target_id", "audit", ["target", "id"])
