"""The demo's own settings; environment and files of the user have no part in them."""

from pathlib import Path
from typing import Any

from signalbox.app.load import Sources, load
from signalbox.app.settings import Settings
from signalbox.sandbox.world import PROVIDER_LIMITS, World

READS = [
    "gateway",
    *(
        f"{what}:read"
        for what in ("statistics", "tasks", "notifications", "criticality", "grid", "conversations", "jobs")
    ),
]

_ROUTES = ["/categories/{id}", "/items/{id}", "/items", "/users/{id}", "/search", "/orders"]


def demo_settings(folder: Path, world: World, port: int) -> Settings:
    """A hub in ``folder`` at ``port`` that knows everybody in ``world``; whoever comes without a token may read."""
    flags = {
        "port": port,
        "data_dir": folder,
        "auth": {"anonymous_scopes": [*READS, "tasks:write"]},
        "gateway": {"default": "shop", "upstreams": [_shop(world)]},
        "tasks": {"default_provider": "checks", "providers": [_provider(world)]},
        "notifications": _notifications(world),
        "criticality": {"rules": [{"topic": "grid.threshold", "level": 4, "hold": "30s"}]},
        "log": {"level": "warning"},
        "drain_timeout": 3,
    }
    return load(flags, Sources())


def _shop(world: World) -> dict[str, Any]:
    return {
        "name": "shop",
        "url": world.shop_url,
        "prefix": "/",
        "routes": _ROUTES,
        "read_timeout": 10,
        "limits": [{"by": "ip", "rate": "6000/1m"}, {"by": "path", "pattern": "/categories/*", "rate": "10000/1m"}],
        "cache": {"enabled": True},
    }


def _provider(world: World) -> dict[str, Any]:
    url = world.provider_url
    return {
        "name": "checks",
        "kind": "http-json",
        "submit_url": f"{url}/tasks",
        "list_url": f"{url}/tasks",
        "body": {"id": "{id}", "payload": "{payload}"},
        "idempotency_header": "Idempotency-Key",
        "poll_interval": 5,
        "limits": list(PROVIDER_LIMITS),
    }


def _notifications(world: World) -> dict[str, Any]:
    mail = {"host": "127.0.0.1", "port": world.mail.port, "tls": "none", "sender": "hub@demo.test"}
    return {
        "channels": [
            {"name": "sales-chat", "kind": "slack", "webhook_url": f"{world.slack_url}/services/T000/B000/XXXX"},
            {"name": "pricing-mail", "kind": "email", "to": ["pricing@demo.test"], **mail},
            {"name": "on-call", "kind": "webhook", "url": f"{world.receiver_url}/on-call"},
        ],
        "routes": [
            {"topic": "sales", "channels": ["sales-chat"]},
            {"topic": "pricing", "channels": ["pricing-mail"]},
            {
                "topic": ["task.*", "gateway.*", "criticality.*", "job.*", "grid.*", "report.*"],
                "severity": "warning",
                "channels": ["on-call"],
            },
        ],
        "default": {"channels": ["on-call"]},
    }
