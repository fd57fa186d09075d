"""The audit trail: who did what to what, written in the transaction of the change itself."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from signalbox.auth.models import AuditRow, audit

_INSERT = insert(audit)  # built once: to build a statement costs several times what running it does


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; None stands for all. ``since`` is inclusive, ``until`` is not; microseconds UTC."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: int | None = None
    until: int | None = None


def record(
    tx: Connection,
    *,
    actor: str,
    action: str,
    target: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    at: int,
    request_id: str | None,
) -> None:
    """Write one entry.

    Args:
        tx: The transaction of the change.
        actor: Who did it, such as ``user:anna`` (``Principal.actor``) or ``cli:root``.
        action: What was done, as noun and verb: ``token.revoke``.
        target: What it was done to, such as ``token:12``.
        before: What changed, as it was; JSON-safe, without secrets; None for something new.
        after: What changed, as it is now; None for something gone.
        at: When, in microseconds UTC.
        request_id: The request that asked for it; None where it came by a command, or from the hub itself.
    """
    entry = {"at": at, "actor": actor, "action": action, "target": target, "request_id": request_id}
    tx.execute(_INSERT, {**entry, "before": before, "after": after})


def list_entries(tx: Connection, *, wanted: AuditFilter, limit: int, below: int | None = None) -> list[AuditRow]:
    """At most ``limit`` entries, newest first; ``below`` leaves out those whose id is not smaller."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    for column, value in ((audit.c.actor, wanted.actor), (audit.c.action, wanted.action)):
        query = query if value is None else query.where(column == value)
    if wanted.target is not None:
        query = query.where(audit.c.target == wanted.target)
    if wanted.since is not None:
        query = query.where(audit.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(audit.c.at < wanted.until)
    if below is not None:
        query = query.where(audit.c.id < below)
    return [AuditRow(**row) for row in tx.execute(query).mappings()]
