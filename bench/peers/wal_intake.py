"""A careful plain intake: FastAPI, sqlite3 in WAL mode with synchronous=FULL, one commit per request in a thread."""

import os
import sqlite3
import threading

from fastapi import FastAPI
from pydantic import BaseModel

connection = sqlite3.connect(os.environ["DATABASE"], check_same_thread=False, isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("PRAGMA synchronous=FULL")
connection.execute(
    "CREATE TABLE entry (id TEXT PRIMARY KEY, actor TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL,"
    " note TEXT NOT NULL)"
)
turn = threading.Lock()
app = FastAPI()


class NewEntry(BaseModel):
    """What is posted."""

    id: str
    actor: str
    action: str
    target: str
    note: str


@app.post("/intake", status_code=201)
def take(entry: NewEntry) -> dict[str, str]:
    """Insert one row; autocommit, so that it is on disk when this returns."""
    with turn:
        connection.execute("INSERT INTO entry VALUES (:id, :actor, :action, :target, :note)", entry.model_dump())
    return {"id": entry.id}
