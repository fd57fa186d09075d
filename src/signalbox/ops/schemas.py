"""What the routes of operations answer."""

from datetime import datetime
from typing import Any

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
