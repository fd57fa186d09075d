"""Notifications by Celery and RabbitMQ: the endpoint publishes a persistent task and waits for the broker's confirm.

``app`` is the endpoint, ``queue`` what the worker runs: ``celery --app celery_forwarder:queue worker``.
"""

import os
from typing import Any

import httpx
from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel

queue = Celery("forwarder", broker=os.environ["BROKER"])
queue.conf.update(
    broker_transport_options={"confirm_publish": True},  # without it an accepted message may be lost with the broker
    task_default_queue=os.environ["QUEUE"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=16,
    broker_pool_limit=64,
    broker_connection_retry_on_startup=True,
)
client = httpx.Client(timeout=10)
app = FastAPI()


class Assistance(BaseModel):
    """What is posted."""

    topic: str
    description: str
    customer: str | None = None
    metadata: dict[str, Any] = {}


@queue.task(autoretry_for=(httpx.HTTPError,), retry_backoff=True, max_retries=8)  # type: ignore[untyped-decorator]
def forward(message: dict[str, Any]) -> None:
    """Tell the receiver."""
    client.post(os.environ["RECEIVER"] + "/in", json=message).raise_for_status()


@app.post("/api/assistance", status_code=202)
def ask(body: Assistance) -> dict[str, str]:
    """Answered when the broker has confirmed."""
    return {"id": forward.delay(body.model_dump()).id, "topic": body.topic}
