"""Texts of conversations in blocks instead of rows, and words without their places: both take a fraction of the time.

What was imported before has to be imported again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")

IMPORTED = ("company", "tag", "transcript", "index")
_WORDS = "words, content='', tokenize='unicode61 remove_diacritics 0'"


def upgrade() -> None:
    """Put blocks in the place of items."""
    _forget()
    op.drop_table("conversation_item")
    op.create_table(
        "conversation_block",
        sa.Column("id", BigId, nullable=False, autoincrement=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_conversation_block"),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Compressing takes longer than all the rest of an import.
        op.execute("ALTER TABLE conversation_block ALTER data SET STORAGE EXTERNAL")
        return
    op.execute(f"CREATE VIRTUAL TABLE conversation_text USING fts5({_WORDS}, detail=none, columnsize=0)")
    # One segment of the index for each transaction, and none merged but on command: what SQLite does by itself takes
    # as long as it takes, and holds the lock meanwhile.
    for name, value in (("automerge", 0), ("crisismerge", 1_999), ("usermerge", 16), ("hashsize", 64_000_000)):
        op.execute(f"INSERT INTO conversation_text (conversation_text, rank) VALUES ('{name}', {value})")  # noqa: S608 - our words


def downgrade() -> None:
    """Put items in the place of blocks."""
    _forget()
    op.drop_table("conversation_block")
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
        op.execute(f"CREATE VIRTUAL TABLE conversation_text USING fts5({_WORDS})")


def _forget() -> None:
    """Take back all that was imported; which imports there were stays known."""
    op.execute("UPDATE conversation_import SET state = 'replaced' WHERE state = 'live'")
    op.execute("UPDATE conversation_import SET swept = true, texts_done = 0 WHERE state <> 'queued'")
    for name in IMPORTED:
        op.execute(f"DELETE FROM conversation_{name}")  # noqa: S608 - our names
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE conversation_text")
    else:
        op.execute("TRUNCATE conversation_text")
