"""What searches: the hub, Datasette and SQLModel with a cache in Redis, as candidates that ask for one page or for many."""

import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from conversations_data import PER_PAGE, Query, expected, to_query
from servers import python_peer
from support import LOAD_CORE, Candidate, Running, answers, free_port, server, tool, version, wait

PATH = "/api/conversations"

_FOUND = (
    "SELECT id, count(*) OVER () AS total FROM item WHERE company = :company AND tag IN (:one, :other) "
    "ORDER BY rank LIMIT :size OFFSET :begin"
)


@dataclass(frozen=True)
class Prepared:
    """What all candidates ask of: the hub's data, the table of peers, a token, and searches that all differ."""

    data: Path
    table: Path
    token: str
    queries: Sequence[Query]


def hub(prepared: Prepared, name: str, *, many: bool = False, known: bool = False) -> Candidate:
    """Return Signalbox; ``many``: each search once, with the smallest cache; ``known``: by those who have the answer."""

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        data, port, config = folder / "data", free_port(), folder / "signalbox.toml"
        shutil.copytree(prepared.data, data)
        config.write_text("[conversations]\ncache_bytes = 1048576\n" if many else "")
        command = [tool("signalbox"), "serve", "--port", str(port), "--data-dir", str(data), "--config", str(config)]
        with server(command, port, place=folder) as running:
            wait(lambda: answers(running.url + "/readyz"), folder / "log")
            headers = {"Token": prepared.token}
            etag = _check(
                running.url, prepared, to_hub, headers, lambda body: (body["conversation_ids"], body["total"])
            )
            if known:
                headers["If-None-Match"] = etag
            yield replace(running, token=str(_write(folder, prepared, to_hub, headers, many=many)))

    settings = f"{version('signalbox', '--version')}; SQLite, embedded, token checked"
    more = ", a cache of 1 MiB, which few of the searches are in" if many else ""
    return Candidate(name, settings + more, start, path=PATH)


def datasette(prepared: Prepared, name: str, *, many: bool = False) -> Candidate:
    """Return Datasette with the search as a canned query over a table whose index has all that it asks for."""

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port, metadata, table = free_port(), folder / "metadata.json", folder / "data.db"
        shutil.copy(prepared.table, table)
        metadata.write_text(json.dumps({"databases": {"data": {"queries": {"found": {"sql": _FOUND}}}}}))
        command = [tool("datasette"), "serve", "--immutable", str(table), "--port", str(port)]
        command += ["--metadata", str(metadata), "--setting", "num_sql_threads", "1"]
        with server(command, port, place=folder) as running:
            wait(lambda: answers(running.url + "/-/versions.json"), folder / "log")
            _check(
                running.url, prepared, to_datasette, {}, lambda body: ([row["id"] for row in body], body[0]["total"])
            )
            yield replace(running, token=str(_write(folder, prepared, to_datasette, {}, many=many)))

    settings = "immutable file, canned query that an index covers, JSON, one SQL thread (as fast as three on one core)"
    return Candidate(name, f"{version('datasette', '--version')}; {settings}", start)


def sqlmodel(prepared: Prepared, name: str, *, many: bool = False) -> Candidate:
    """Return a FastAPI endpoint with SQLModel; unless ``many``, its answers are kept in Redis, beside the load."""

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port, place = free_port(), folder / "redis"
        place.mkdir()
        command = [tool("redis-server"), "--port", str(port), "--save", "", "--dir", str(place)]
        env = {"DATABASE": str(prepared.table), "REDIS": "" if many else f"redis://127.0.0.1:{port}/0"}
        peer = python_peer(name, "sqlmodel_search", "", env)
        with server(command, port, core=LOAD_CORE, place=place), peer.start(folder) as running:
            _check(running.url, prepared, to_sqlmodel, {}, lambda body: (body["conversation_ids"], body["total"]))
            yield replace(running, token=str(_write(folder, prepared, to_sqlmodel, {}, many=many)))

    settings = "FastAPI, uvicorn, SQLModel in a thread, an index that covers the search"
    more = ", no cache, which would miss each time" if many else ", redis-py's asyncio client with 64 connections"
    return Candidate(name, settings + more, start)


def to_hub(query: Query) -> str:
    """The path of a search."""
    return f"{PATH}?{to_query(query)}"


def to_sqlmodel(query: Query) -> str:
    """The same."""
    return f"/conversations?{to_query(query)}"


def to_datasette(query: Query) -> str:
    """The same."""
    company, (one, other), begin = quote_plus(query.company), query.tags, (query.page - 1) * PER_PAGE
    return f"/data/found.json?_shape=array&company={company}&one={one}&other={other}&size={PER_PAGE}&begin={begin}"


def _write(
    folder: Path, prepared: Prepared, to_path: Callable[[Query], str], headers: Mapping[str, str], *, many: bool
) -> Path:
    """The file that wrk reads: headers and paths."""
    chosen = prepared.queries if many else prepared.queries[:1]
    lines = [*(f"{name}: {value}" for name, value in headers.items()), "", *(to_path(query) for query in chosen)]
    (folder / "paths").write_text("".join(f"{line}\n" for line in lines))
    return folder / "paths"


def _check(
    url: str,
    prepared: Prepared,
    to_path: Callable[[Query], str],
    headers: Mapping[str, str],
    read: Callable[[Any], tuple[list[int], int]],
) -> str:
    """Raise RuntimeError unless some searches find what the table holds; the entity tag of the first."""
    tags: list[str] = []
    for query in prepared.queries[:3]:
        with urllib.request.urlopen(urllib.request.Request(url + to_path(query), headers=dict(headers))) as response:
            body, etag = json.load(response), response.headers.get("ETag", "")
        if read(body) != expected(prepared.table, query):
            msg = f"{url + to_path(query)} answers {read(body)}, expected {expected(prepared.table, query)}"
            raise RuntimeError(msg)
        tags.append(etag)
    return tags[0]
