"""The reference style of a durable intake: FastAPI, one SQLAlchemy ORM session per request, SQLite as it comes."""

import os
from collections.abc import Iterator

from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_engine(f"sqlite:///{os.environ['DATABASE']}", connect_args={"timeout": 30})


class Base(DeclarativeBase):
    """The tables."""


class Entry(Base):
    """One row of the audit-like table."""

    __tablename__ = "entry"
    id: Mapped[str] = mapped_column(primary_key=True)
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    note: Mapped[str]


class NewEntry(BaseModel):
    """What is posted."""

    id: str
    actor: str
    action: str
    target: str
    note: str


Base.metadata.create_all(engine)
app = FastAPI()


def get_session() -> Iterator[Session]:
    """Yield a session of its own for each request."""
    with Session(engine) as session:
        yield session


@app.post("/intake", status_code=201)
def take(entry: NewEntry, session: Session = Depends(get_session)) -> dict[str, str]:  # noqa: FAST002 (the reference's style)
    """Insert one row and commit."""
    session.add(Entry(**entry.model_dump()))
    session.commit()
    return {"id": entry.id}
