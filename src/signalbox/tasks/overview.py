"""How providers stand: limits, backlog, the last poll."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from signalbox.core.times import to_datetime
from signalbox.infra.limits.budgets import Budgets
from signalbox.tasks import store
from signalbox.tasks.providers import Provider
from signalbox.tasks.schemas import LimitOut, ProviderOut
from signalbox.tasks.settings import TasksSettings


def list_providers(
    tx: Connection, providers: Mapping[str, Provider], *, settings: TasksSettings, budgets: Budgets, now: int
) -> list[ProviderOut]:
    """All providers, in the order of the settings."""
    kinds = {each.name: each.kind for each in settings.providers}
    polls = store.find_polls(tx)
    found = []
    for name, each in providers.items():
        described = _describe(tx, each, is_default=settings.default_provider == name, budgets=budgets, now=now)
        found.append(ProviderOut(kind=kinds[name], last_poll=polls.get(name), **described))
    return found


def _describe(tx: Connection, provider: Provider, *, is_default: bool, budgets: Budgets, now: int) -> dict[str, Any]:
    counts = store.count_open(tx, provider.name)
    tracked = store.count_open(tx, "").in_flight if is_default else 0
    host = budgets.status(tx, provider.host, extra=provider.limits, extra_share=provider.poll_share, now=now)
    return {
        "name": provider.name,
        "host": provider.host,
        "is_default": is_default,
        "limits": [LimitOut(limit=str(each.rate), used=each.used) for each in host.limits],
        "paused_until": None if host.paused_until is None else to_datetime(host.paused_until),
        "queued": counts.queued,
        "submitting": counts.submitting,
        "in_flight": counts.in_flight + tracked,
    }
