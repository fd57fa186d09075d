"""What the routes of operations answer."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


class AuditEntry(BaseModel):
    """One change: who did what to what."""

    id: int
    at: datetime
    actor: str = Field(examples=["user:anna"])
    action: str = Field(examples=["token.revoke"])
    target: str = Field(examples=["token:12"])
    before: dict[str, Any] | None = Field(description="What changed, as it was; None for something new")
    after: dict[str, Any] | None = Field(description="What changed, as it is now; None for something gone")
    request_id: str | None


class EventOut(BaseModel):
    """Something that happened, as features tell each other."""

    id: int
    topic: str = Field(examples=["gateway.upstream_down"])
    severity: Literal["info", "warning", "error"]
    data: dict[str, Any]
    dedup_key: str | None
    created_at: datetime
