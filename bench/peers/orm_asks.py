"""The reference style of asks: FastAPI, one SQLAlchemy ORM session per request, SQLite as it comes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_engine(f"sqlite:///{os.environ['DATABASE']}", connect_args={"timeout": 30})


class Base(DeclarativeBase):
    """The tables."""


class Consumer(Base):
    """An app, what it was told of, and how often it asked."""

    __tablename__ = "consumer"
    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(unique=True)
    told: Mapped[int] = mapped_column(default=0)
    asks: Mapped[int] = mapped_column(default=0)


class Status(Base):
    """One change of the level."""

    __tablename__ = "status"
    id: Mapped[int] = mapped_column(primary_key=True)
    level: Mapped[int]


Base.metadata.create_all(engine)
with Session(engine) as first:
    first.add(Status(level=3))
    first.add_all(Consumer(token=token) for token in Path(os.environ["TOKENS"]).read_text().split())
    first.commit()
app = FastAPI()


def get_session() -> Iterator[Session]:
    """Yield a session of its own for each request."""
    with Session(engine) as session:
        yield session


@app.get("/asks")
def ask(token: Annotated[str, Header()], session: Session = Depends(get_session)) -> dict[str, int]:  # noqa: FAST002 (the reference's style)
    """The level if it is news to the app; the ask is counted."""
    consumer = session.scalar(select(Consumer).where(Consumer.token == token))
    if consumer is None:
        raise HTTPException(401)
    consumer.asks += 1
    status = session.scalar(select(Status).order_by(Status.id.desc()).limit(1))
    news = {}
    if status is not None and consumer.told < status.id:
        consumer.told = status.id
        news = {"level": status.level}
    session.commit()
    return news
