"""What answers asks: the hub, etcd's HTTP gateway, Redis behind FastAPI and the reference style, as candidates."""

import asyncio
import base64
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from criticality_clients import ask_all, post, report
from servers import python_peer
from support import BENCH, LOAD_CORE, Candidate, Running, answers, free_port, server, tool, version, wait

PATH = "/api/criticality"
ETCD_RANGE = "/v3/kv/range"
KEY = "level"

HUB = "Signalbox"
ETCD = "etcd, HTTP gateway"
REDIS = "Redis GET behind FastAPI"
REFERENCE = "reference style"


@contextmanager
def running_hub(folder: Path, apps: int) -> Iterator[Running]:
    """Start the hub with tokens of ``apps`` apps, each of which has been told of a level and remembered."""
    port = free_port()
    command = [sys.executable, str(BENCH / "criticality_hub.py"), str(port), str(folder), str(apps)]
    with server(command, port, place=folder) as running:
        wait(lambda: answers(running.url + "/readyz"), folder / "log")
        asyncio.run(_tell_everybody(running.url, tokens_in(folder)))
        yield running


def tokens_in(folder: Path) -> list[str]:
    """The tokens of the apps of a hub."""
    return (folder / "tokens").read_text().split()


async def _tell_everybody(url: str, tokens: list[str]) -> None:
    """Set a level and let every app ask; raises RuntimeError unless a second ask then finds nothing new."""
    await report(url + PATH, tokens[0], level=1)
    first = await ask_all(url + PATH, tokens)
    second = await ask_all(url + PATH, tokens)
    if b"{}" in first or set(second) != {b"{}"}:
        msg = f"not every app was told of the level once: {set(first)}, then {set(second)}"
        raise RuntimeError(msg)


def hub(apps: int) -> Candidate:
    """Return Signalbox on SQLite, its statements counted beside."""

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        with running_hub(folder, apps) as running:
            yield replace(running, token=f"tokens:{folder / 'tokens'}")

    settings = f"{version('signalbox', '--version')}; SQLite, embedded; tokens of {apps:,} apps checked, asks counted"
    return Candidate(HUB, settings, start, path=PATH)


def etcd() -> Candidate:
    """Return etcd with one key, read through its JSON gateway; nobody's token is checked, nothing counted."""

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port, peer = free_port(), f"http://127.0.0.1:{free_port()}"
        url = f"http://127.0.0.1:{port}"
        command = [tool("etcd"), "--data-dir", str(folder / "data"), "--log-level", "error"]
        command += ["--listen-client-urls", url, "--advertise-client-urls", url]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        command += ["--initial-cluster", f"default={peer}"]
        key = base64.b64encode(KEY.encode()).decode()
        with server(command, port, place=folder, env={"GOMAXPROCS": "1"}) as running:
            wait(lambda: answers(running.url + "/health"), folder / "log")
            asyncio.run(_put(running.url, key))
            yield replace(running, token=f'body:{{"key":"{key}","serializable":true}}')

    settings = "GOMAXPROCS=1, one member, the key read without asking the cluster (serializable), no token checked"
    return Candidate(ETCD, f"{version('etcd', '--version')}; {settings}", start, path=ETCD_RANGE)


async def _put(url: str, key: str) -> None:
    await post(url + "/v3/kv/put", {}, {"key": key, "value": base64.b64encode(b"3").decode()})


def redis(apps: int) -> Candidate:
    """Return a FastAPI endpoint that asks Redis, which has its place beside the load."""

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port, place = free_port(), folder / "redis"
        place.mkdir()
        command = [tool("redis-server"), "--port", str(port), "--save", "", "--dir", str(place)]
        with server(command, port, core=LOAD_CORE, place=place):
            _set_level(port)
            url = f"redis://127.0.0.1:{port}/0"
            env = {"REDIS": url, "KEY": KEY, "TOKENS": str(_write_tokens(folder, apps))}
            with python_peer(REDIS, "redis_asks", "", env).start(folder) as running:
                yield replace(running, token=f"tokens:{folder / 'tokens'}")

    settings = "FastAPI, redis-py's asyncio client with 64 connections, tokens and counts in a dictionary, uvicorn"
    return Candidate(REDIS, f"{version('redis-server', '--version')}; {settings}", start, path="/asks")


def _set_level(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"SET {KEY} 3\r\n".encode())
        if not connection.recv(100).startswith(b"+OK"):
            msg = "Redis took no level"
            raise RuntimeError(msg)


def reference(apps: int) -> Candidate:
    """Return the reference style; each ask is counted in its own transaction."""

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        env = {"DATABASE": f"{folder}/asks.sqlite", "TOKENS": str(_write_tokens(folder, apps))}
        with python_peer(REFERENCE, "orm_asks", "", env).start(folder) as running:
            yield replace(running, token=f"tokens:{folder / 'tokens'}")

    settings = "FastAPI, SQLAlchemy ORM, a session per request in a thread, SQLite's default journal, a commit per ask"
    return Candidate(REFERENCE, settings, start, path="/asks")


def _write_tokens(folder: Path, apps: int) -> Path:
    path = folder / "tokens"
    path.write_text("".join(f"{secrets.token_urlsafe(30)}\n" for _ in range(apps)))
    return path
