"""A level kept in Redis, asked for through a FastAPI endpoint: one GET for each ask, tokens and counts in memory."""

import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import redis.asyncio
from fastapi import FastAPI, Header, HTTPException

apps = {token: name for name, token in enumerate(Path(os.environ["TOKENS"]).read_text().split())}
told: dict[int, str] = {}
asks: Counter[int] = Counter()
server = redis.asyncio.Redis.from_url(os.environ["REDIS"], max_connections=64, decode_responses=True)
app = FastAPI()


@app.get("/asks")
async def ask(token: Annotated[str, Header()]) -> dict[str, str]:
    """The level if it is news to the app."""
    name = apps.get(token)
    if name is None:
        raise HTTPException(401)
    asks[name] += 1
    level = str(await server.get(os.environ["KEY"]))
    if told.get(name) == level:
        return {}
    told[name] = level
    return {"level": level}
