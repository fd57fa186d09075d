"""Settings under ``[grid]``."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class GridSettings(BaseModel):
    """Limits of the grid, and how much of it is done at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    report_concurrency: Annotated[int, Field(ge=1, le=32)] = 2
    """Reports that one process makes at once."""
    schedule_catch_up: Annotated[int, Field(ge=1, le=400)] = 31
    """Reports that a schedule makes up for at most, after a time in which the hub was down."""
    max_schedules: Annotated[int, Field(ge=0, le=10_000)] = 200
    """Schedules of reports that there may be."""
    max_rules: Annotated[int, Field(ge=0, le=1_000)] = 200
    """Threshold rules that there may be; each is held against every batch."""
