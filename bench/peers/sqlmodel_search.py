"""Searches with SQLModel, answers kept in Redis (where its address is given) until they are asked for again."""

import os
from typing import Annotated

import redis.asyncio
from fastapi import FastAPI, Query, Request, Response
from sqlmodel import Field, Session, SQLModel, col, create_engine, func, select
from starlette.concurrency import run_in_threadpool


class Item(SQLModel, table=True):
    """A conversation, in the order of answers."""

    rank: int = Field(primary_key=True)
    id: int
    company: str
    tag: str | None


class Page(SQLModel):
    """What the hub answers."""

    conversation_ids: list[int]
    total: int
    page: int
    per_page: int


address = os.environ.get("REDIS")
server = redis.asyncio.Redis.from_url(address, max_connections=64) if address else None
engine = create_engine(f"sqlite:///{os.environ['DATABASE']}", connect_args={"check_same_thread": False})
app = FastAPI()


def find(company: str, tags: str, page: int, per_page: int) -> bytes:
    """Ask the database."""
    wanted = (Item.company == company, col(Item.tag).in_(tags.split(",")))
    with Session(engine) as session:
        ids = select(Item.id).where(*wanted).order_by(col(Item.rank)).offset((page - 1) * per_page).limit(per_page)
        total = session.exec(select(func.count()).select_from(Item).where(*wanted)).one()
        found = list(session.exec(ids))
    return Page(conversation_ids=found, total=total, page=page, per_page=per_page).model_dump_json().encode()


@app.get("/conversations")
async def conversations(
    request: Request,
    company: str,
    tags: str,
    page: Annotated[int, Query(ge=1)] = 1,
    per_page: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """A page of ids."""
    key = request.url.query
    body = None if server is None else await server.get(key)
    if body is None:
        body = await run_in_threadpool(find, company, tags, page, per_page)
        if server is not None:
            await server.set(key, body, ex=3600)
    return Response(body, media_type="application/json")
