"""The servers that are measured or measured against, each as a ``Candidate`` or a context manager that starts it."""

import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from support import BENCH, LOAD_CORE, Candidate, Running, answers, free_port, server, tool, version, wait

ANSWER = (
    '{"id":"MLA97994","name":"Otros","picture":null,"permalink":null,"total_items_in_this_category":123,'
    '"path_from_root":[{"id":"MLA9","name":"Computers"},{"id":"MLA979","name":"Parts"}],"children_categories":'
    '[{"id":"MLA979940","name":"One","total_items":1},{"id":"MLA979941","name":"Two","total_items":22}]}'
)
"""300 bytes of JSON, what every upstream call of the gateway's measurement answers."""

ADMIN_PASSWORD = "bench-only-password"  # noqa: S105 (of a hub that lives as long as its measurement)

KEPT = "/kept"
"""Below it the upstream says that its answers may be kept for an hour."""

_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log warn; {user}
events {{ worker_connections 4096; }}
http {{
  access_log {access_log};
  keepalive_requests 1000000000; keepalive_timeout 75s; tcp_nodelay on; client_max_body_size 0;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {body}
}}
"""

_NGINX_UPSTREAM = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type application/json;
    location / {{ return 200 '{answer}'; }}
    location {kept}/ {{ add_header Cache-Control "max-age=3600"; return 200 '{answer}'; }}
  }}
"""

_NGINX_PROXY = """
  upstream there {{ server {upstream}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://there; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_request_buffering {request_buffering}; proxy_max_temp_file_size 0;
    }}
  }}
"""

_CADDY = """
{{
  admin off
  auto_https off
  grace_period 1s
}}
http://127.0.0.1:{port} {{
  bind 127.0.0.1
  {log}
  reverse_proxy {upstream} {{
    transport http {{
      keepalive 60s
      keepalive_idle_conns 1024
      keepalive_idle_conns_per_host 1024
      compression off
      versions 1.1
    }}
  }}
}}
"""

_CADDY_LOG = """log {{
    output file {folder}/access.log
    format json
  }}"""

_HUB = """
[gateway]
default = "bench"
statistics = {statistics}

[[gateway.upstreams]]
name = "bench"
url = "{upstream}"
prefix = "/"
routes = ["/categories/{{id}}", "{kept}/{{id}}"]
{more}
"""

_LIMITS = """
limits = [
  {by = "ip", rate = "1000000/10s"},
  {by = "path", pattern = "/categories/*", rate = "1000000/10s"},
  {by = "ip+path", pattern = "/categories/*", rate = "1000000/10s"},
]
"""
"""Three that apply to every call of the load, and that nothing reaches: what is measured is their counting."""

_CACHE = "cache = {enabled = true}"


@contextmanager
def upstream(folder: Path) -> Iterator[Running]:
    """Start nginx with a fixed answer, beside the load generator."""
    port = free_port()
    body = _NGINX_UPSTREAM.format(port=port, answer=ANSWER, kept=KEPT)
    with server(_nginx(folder, body, access_log="off"), port, core=LOAD_CORE, place=folder) as running:
        yield running


def nginx(target: str, *, streaming: bool = False) -> Candidate:
    """Return nginx as a proxy to the host and port of ``target``; ``streaming`` passes bodies on as they come."""

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port = free_port()
        buffering = "off" if streaming else "on"
        body = _NGINX_PROXY.format(port=port, upstream=_authority(target), request_buffering=buffering)
        command = _nginx(folder, body, access_log=f"{folder}/access.log combined buffer=256k flush=1s")
        with server(command, port, place=folder) as running:
            yield running

    settings = "1 worker, keepalive 512 to the upstream, access log buffered"
    return Candidate("nginx", f"{version('nginx', '-v')}; {settings}", start)


def caddy(target: str, *, access_log: bool = True) -> Candidate:
    """Return Caddy as a proxy to the host and port of ``target``."""

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port, config = free_port(), folder / "Caddyfile"
        log = _CADDY_LOG.format(folder=folder) if access_log else ""
        config.write_text(_CADDY.format(port=port, log=log, upstream=_authority(target)))
        command = [tool("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]
        env = {"GOMAXPROCS": "1", "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        with server(command, port, place=folder, env=env) as running:
            yield running

    name = "Caddy" if access_log else "Caddy, no access log"
    log_setting = "access log as JSON to a file" if access_log else "no access log"
    return Candidate(
        name, f"Caddy {version('caddy', 'version')}; GOMAXPROCS=1, 1024 idle connections, {log_setting}", start
    )


def hub(target: str, *, statistics: bool = True) -> Candidate:
    """Return Signalbox with ``target`` as its only upstream, all else at its defaults."""
    return _hub(f"Signalbox, statistics {'on' if statistics else 'off'}", target, statistics=statistics)


def limited_hub(target: str) -> Candidate:
    """Return Signalbox with statistics and three limits that count every call and refuse none."""
    limited = _hub("Signalbox, three limits", target, more=_LIMITS)
    proof = ("RateLimit-Policy", "ip+path")
    return replace(limited, settings=f"{limited.settings}; by ip, path and ip+path, 1,000,000/10s each", proof=proof)


def caching_hub(target: str) -> Candidate:
    """Return Signalbox with statistics and its cache; the load asks for an answer that may be kept."""
    caching = _hub("Signalbox, cache hits", target, more=_CACHE)
    settings = f"{caching.settings}; cache in memory, all requests for one answer that is fresh for an hour"
    return replace(caching, settings=settings, path=f"{KEPT}/MLA97994", proof=("Cache-Status", "; hit"))


def _hub(name: str, target: str, *, statistics: bool = True, more: str = "") -> Candidate:
    config = _HUB.format(upstream=target, statistics=str(statistics).lower(), kept=KEPT, more=more)

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        with running_hub(folder, config) as running:
            yield running

    return Candidate(name, f"{version('signalbox', '--version')}; SQLite, embedded", start)


@contextmanager
def running_hub(folder: Path, config: str) -> Iterator[Running]:
    """Start Signalbox with the text of a settings file; yields when it is ready. Its log is ``folder/log``."""
    port, file, data = free_port(), folder / "signalbox.toml", folder / "data"
    file.write_text(config)
    data.mkdir()
    command = [tool("signalbox"), "serve", "--port", str(port), "--data-dir", str(data), "--config", str(file)]
    with server(command, port, place=folder, env={"SIGNALBOX_ADMIN_PASSWORD": ADMIN_PASSWORD}) as running:
        wait(lambda: answers(running.url + "/readyz"), folder / "log")
        yield running


def durable_hub() -> Candidate:
    """Return Signalbox with a door that writes an audit entry; the load sends the token that it wants."""

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port = free_port()
        command = [sys.executable, str(BENCH / "durable_hub.py"), str(port), str(folder)]
        with server(command, port, place=folder) as running:
            wait(lambda: answers(running.url + "/readyz"), folder / "log")
            yield replace(running, token=(folder / "token").read_text())

    settings = f"{version('signalbox', '--version')}; SQLite, WAL, synchronous=FULL, group commit; token checked"
    return Candidate("Signalbox", settings, start)


@contextmanager
def sandbox(folder: Path) -> Iterator[Running]:
    """Start the simulated shop, beside the load: it sends and takes bodies of any size."""
    port = free_port()
    command = [*_uvicorn(port), "--factory", "signalbox.sandbox.upstream:UpstreamApp"]
    with server(command, port, core=LOAD_CORE, place=folder) as running:
        yield running


def python_peer(name: str, module: str, settings: str, env: dict[str, str]) -> Candidate:
    """Return the app ``peers/<module>.py`` under uvicorn; its env value ``{folder}`` becomes the run's folder."""

    @contextmanager
    def start(folder: Path) -> Iterator[Running]:
        port = free_port()
        command = [*_uvicorn(port), f"{module}:app", "--app-dir", str(BENCH / "peers")]
        filled = {key: value.format(folder=folder) for key, value in env.items()}
        with server(command, port, place=folder, env=filled) as running:
            yield running

    return Candidate(name, settings, start)


def _uvicorn(port: int) -> list[str]:
    quiet = ["--no-access-log", "--log-level", "warning"]
    return [sys.executable, "-m", "uvicorn", "--http", "httptools", "--port", str(port), *quiet]


def _nginx(folder: Path, body: str, *, access_log: str) -> list[str]:
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, body=body, access_log=access_log, user=user))
    return [tool("nginx"), "-c", str(config), "-e", str(folder / "error.log")]


def _authority(url: str) -> str:
    return url.removeprefix("http://").rstrip("/")
