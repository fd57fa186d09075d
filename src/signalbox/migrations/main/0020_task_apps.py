"""Find tasks of an app or a provider that has few, too, among any number of others."""

from typing import Any

from alembic import op

revision = "0020"
down_revision = "0019"

_BRIN: Any = {"postgresql_using": "brin", "postgresql_with": {"pages_per_range": 32, "autosummarize": "on"}}


def upgrade() -> None:
    """Note of blocks which apps and providers are in them; on SQLite index the app."""
    op.create_index("ix_task_app", "task", ["app"], postgresql_ops={"app": "text_bloom_ops"}, **_BRIN)
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_task_provider_id", "task")
        ops = {"provider": "text_bloom_ops"}
        op.create_index("ix_task_provider_id", "task", ["provider", "id"], postgresql_ops=ops, **_BRIN)


def downgrade() -> None:
    """Note only what lies between."""
    op.drop_index("ix_task_app", "task")
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_task_provider_id", "task")
        op.create_index("ix_task_provider_id", "task", ["provider", "id"], postgresql_using="brin")
