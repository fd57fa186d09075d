"""Whose hand it is that changes something, as services and the audit trail take it."""

from typing import Any

from fastapi import Request

from signalbox.auth.principal import Principal
from signalbox.infra.context import Context


def to_hand(context: Context, request: Request, caller: Principal) -> dict[str, Any]:
    """``by``, ``now`` and ``request_id`` of a request."""
    return {"by": caller.actor, "now": context.clock.now(), "request_id": request.state.request_id}
