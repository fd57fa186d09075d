"""What is measured by ``notifications.py``: the hub, and those that forward notifications beside it."""

import datetime as dt
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from kombu import Connection

from servers import python_peer, running_hub
from support import BENCH, LOAD_CORE, Candidate, Running, free_port, on_core, server, tool, version

PATH = "/api/assistance"
BROKER = os.environ.get("SIGNALBOX_TEST_RABBITMQ_URL") or "amqp://guest:guest@127.0.0.1:5672/"

HUB, HUB_HELD = "Signalbox", "Signalbox, deliveries held"
CELERY, APPRISE = "Celery and RabbitMQ", "Apprise in the endpoint"

_THREADS = 16


def notifying_hub(name: str, targets: Sequence[str], *, more: str = "") -> Candidate:
    """Return Signalbox with a webhook channel for each target and one route to all of them."""
    channels = [
        f'[[notifications.channels]]\nkind = "webhook"\nname = "c{i}"\nurl = "{url}"' for i, url in enumerate(targets)
    ]
    names = json.dumps([f"c{number}" for number in range(len(targets))])
    route = f'[[notifications.routes]]\ntopic = "*"\nchannels = {names}\n{more}'
    config = "\n".join([*channels, route])

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        with running_hub(folder, config) as running:
            yield replace(running, token=_token(folder))

    settings = (
        f"{version('signalbox', '--version')}; SQLite, WAL, synchronous=FULL, group commit; token checked; webhook"
    )
    return Candidate(name, settings, start, path=PATH)


def held_hub(target: str) -> Candidate:
    """Return Signalbox, which takes messages in and keeps them for later."""
    now = dt.datetime.now(dt.UTC)
    start, end = now - dt.timedelta(minutes=1), now - dt.timedelta(minutes=2)
    held = notifying_hub(HUB_HELD, [target], more=f'quiet = {{start = "{start:%H:%M}", end = "{end:%H:%M}"}}')
    return replace(held, settings=f"{held.settings}; quiet hours until tomorrow, so that nothing is sent meanwhile")


def apprise_peer(target: str) -> Candidate:
    """Return a FastAPI endpoint that calls Apprise."""
    settings = f"Apprise {metadata.version('apprise')}, async_notify in a FastAPI endpoint, json://; nothing is kept"
    return replace(python_peer(APPRISE, "apprise_intake", settings, {"RECEIVER": target}), path=PATH)


def celery_peer(target: str) -> Candidate:
    """Return a FastAPI endpoint that publishes to RabbitMQ, and a Celery worker that forwards; both on one core."""

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port, queue = free_port(), f"signalbox-bench-{uuid.uuid4().hex[:8]}"
        env = {"BROKER": BROKER, "QUEUE": queue, "RECEIVER": target, "PYTHONPATH": str(BENCH / "peers")}
        try:
            with server(_endpoint_and_worker(port), port, place=folder, env=env) as running:
                yield running
        finally:
            with Connection(BROKER) as connection:
                connection.default_channel.queue_delete(queue)

    settings = (
        f"Celery {metadata.version('celery')}, confirm_publish, acks_late, pool of {_THREADS} threads, prefetch 16; "
        "FastAPI and worker on the core, RabbitMQ wherever it runs, in its favour"
    )
    return Candidate(CELERY, settings, start, path=PATH, shares_core=True)


def _endpoint_and_worker(port: int) -> list[str]:
    """One command for both, so that they are one process group."""
    python, quiet = sys.executable, "--without-gossip --without-mingle --without-heartbeat --loglevel ERROR"
    worker = f"{python} -m celery --app celery_forwarder:queue worker --pool threads -c {_THREADS} {quiet}"
    endpoint = (
        f"{python} -m uvicorn --http httptools --port {port} --no-access-log --log-level warning celery_forwarder:app"
    )
    return ["/bin/sh", "-c", f"{worker} & exec {endpoint}"]


def _token(folder: Path) -> str:
    """Make a token for the load, by the command line beside the server."""
    command = [tool("signalbox"), "tokens", "create", "--app", "bench", "--scope", "assistance"]
    env = {**os.environ, "SIGNALBOX_DATA_DIR": str(folder / "data")}
    ran = subprocess.run(on_core(LOAD_CORE, command), env=env, cwd=folder, capture_output=True, text=True, check=True)
    return ran.stdout.strip().splitlines()[-1]
