"""The section ``[status_page]``."""

from pydantic import BaseModel, ConfigDict, Field


class StatusPageSettings(BaseModel):
    """What anybody may see at ``/status`` without signing in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = False
    """Whether there is such a page, and its badge ``/status/badge.svg``."""
    title: str = Field(default="Status", min_length=1, max_length=100)
    """What stands above it."""
    upstreams: list[str] = Field(default=[], max_length=50)
    """Names of upstreams that are shown, each with its last day; all others are nobody's business."""
