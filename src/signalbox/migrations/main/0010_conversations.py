"""Conversations: imports, what they brought, the index that searches it, and the words of its texts."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Micros = sa.BigInteger


def upgrade() -> None:
    """Create the tables."""
    _create_import()
    _create_pieces("upload", [])
    _create_pieces("index", [sa.Column("name", sa.Text, nullable=False)])
    _create_named("company", sa.Column("name", sa.Text, nullable=False), sa.Column("logo", sa.Text))
    _create_named("tag", sa.Column("name", sa.Text, nullable=False))
    _create_named(
        "transcript",
        sa.Column("title", sa.Text),
        sa.Column("length", sa.Text),
        sa.Column("published", sa.Text),
    )
    op.create_table(
        "conversation_item",
        sa.Column("id", BigId, nullable=False, autoincrement=False),
        sa.Column("sequence", sa.Float),
        sa.Column("question", sa.Text),
        sa.Column("answer", sa.Text),
        sa.Column("speaker", sa.Text),
        sa.Column("content", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_conversation_item"),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE conversation_text USING fts5(words, content='', tokenize='unicode61 remove_diacritics 0')"
        )
        return
    op.execute("CREATE TABLE conversation_text (id bigint PRIMARY KEY, words tsvector NOT NULL)")
    op.execute("CREATE INDEX ix_conversation_text_words ON conversation_text USING gin (words)")


def downgrade() -> None:
    """Drop the tables."""
    for name in ("text", "item", "transcript", "tag", "company", "index", "upload", "import"):
        op.drop_table(f"conversation_{name}")


def _create_import() -> None:
    op.create_table(
        "conversation_import",
        sa.Column("id", BigId, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("forced", sa.Boolean, nullable=False),
        sa.Column("fingerprint", sa.Text),
        sa.Column("rows_total", sa.BigInteger, nullable=False),
        sa.Column("rows_done", sa.BigInteger, nullable=False),
        sa.Column("texts_done", sa.BigInteger, nullable=False),
        sa.Column("report", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("swept", sa.Boolean, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("updated_at", Micros, nullable=False),
        sa.Column("live_at", Micros),
        sa.CheckConstraint(
            "state IN ('queued', 'loading', 'live', 'replaced', 'unchanged', 'failed')",
            name="ck_conversation_import_state",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_conversation_import"),
        sqlite_autoincrement=True,
    )
    live = sa.text("state = 'live'")
    op.create_index(
        "uq_conversation_import_live",
        "conversation_import",
        ["state"],
        unique=True,
        sqlite_where=live,
        postgresql_where=live,
    )


def _create_pieces(name: str, more: list[sa.Column[str]]) -> None:
    table = f"conversation_{name}"
    op.create_table(
        table,
        sa.Column("import_id", sa.BigInteger, nullable=False),
        *more,
        sa.Column("piece", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("import_id", *(column.name for column in more), "piece", name=f"pk_{table}"),
    )


def _create_named(name: str, *columns: sa.Column[str]) -> None:
    table = f"conversation_{name}"
    op.create_table(
        table,
        sa.Column("import_id", sa.BigInteger, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("import_id", "rank", name=f"pk_{table}"),
    )
