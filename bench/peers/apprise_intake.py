"""Notifications by Apprise, called in the process that takes the request: answered when the receiver has it."""

import os
from typing import Any

import apprise
from fastapi import FastAPI, Response
from pydantic import BaseModel

sender = apprise.Apprise()
sender.add(os.environ["RECEIVER"].replace("http://", "json://") + "/in")
app = FastAPI()


class Assistance(BaseModel):
    """What is posted."""

    topic: str
    description: str
    customer: str | None = None
    metadata: dict[str, Any] = {}


@app.post("/api/assistance", status_code=202)
async def ask(body: Assistance, response: Response) -> dict[str, str]:
    """Tell the receiver; nothing is kept."""
    if not await sender.async_notify(title=body.topic, body=body.description):
        response.status_code = 502
    return {"topic": body.topic}
