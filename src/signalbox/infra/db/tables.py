"""What every table definition shares."""

from sqlalchemy import JSON, BigInteger, Integer, MetaData
from sqlalchemy.dialects.postgresql import JSONB

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

main = MetaData(naming_convention=_NAMES)
"""Tables of the main database: what must never be lost."""

calls = MetaData(naming_convention=_NAMES)
"""Tables of statistics: on SQLite a second file, so that they never wait for a durable write or delay one."""

BigId = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key; SQLite numbers rows by itself only for INTEGER."""

Micros = BigInteger
"""An instant or a span: integer microseconds, UTC."""

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
