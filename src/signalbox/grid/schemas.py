"""What goes over the wire."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from signalbox.grid.series import MeasurementType

LARGEST_VALUE: Final = 1e100
"""No reading is larger; squares of larger ones would not be finite."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ComponentIn(BaseModel):
    """What every component has; a kind in ``kinds/`` adds its own fields and says what ``component_type`` it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    component_type: str
    name: Name
    """Unique in its substation."""
    substation: Name


class ComponentOut(BaseModel):
    """A component, with the fields of its kind beside these."""

    model_config = ConfigDict(extra="allow")

    id: int
    component_type: str
    name: str
    substation: str
    created_at: AwareDatetime
    updated_at: AwareDatetime


class ImportedRow(BaseModel):
    """What became of a row of an import."""

    row: int
    """From 1 on."""
    status: Literal["created", "updated", "unchanged", "rejected"]
    id: int | None = None
    reason: str | None = None


class NewReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A reading as it is handed over."""

    component_id: int
    value: float
    measurement_type: MeasurementType
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """With a zone; unset: now."""


class ReadingOut(msgspec.Struct, frozen=True, gc=False):
    """A reading as it is shown."""

    component_id: int
    timestamp: datetime
    value: float
    measurement_type: MeasurementType


class RowResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What became of a row of a batch."""

    status: Literal["inserted", "duplicate", "rejected"]
    reason: str | None = None


class BatchResult(msgspec.Struct, frozen=True):
    """What became of a batch."""

    inserted: int
    duplicates: int
    rejected: int
    rows: list[RowResult]
    """In the order of the batch."""


@dataclass(frozen=True, slots=True)
class NewReport:
    """A report to be made."""

    start_date: Annotated[str, msgspec.Meta(max_length=40)]
    """A date, or a time; without a zone of its own it is one of ``timezone``. Included."""
    end_date: Annotated[str, msgspec.Meta(max_length=40)]
    """Likewise; not included."""
    timezone: Annotated[str, msgspec.Meta(max_length=60)] = "UTC"
    """A name of the IANA database, such as Europe/Berlin: its days are those of the report."""
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00]*$")] | None = None


ReportStatus = Literal["pending", "running", "completed", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOut:
    """A report."""

    id: int
    name: str | None
    start_date: datetime
    end_date: datetime
    timezone: str
    status: ReportStatus
    progress: float
    """From 0 to 1."""
    error: str | None
    created_by: str
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDetail(ReportOut):
    """A report with what it says."""

    result: dict[str, Any] | None
    """Once it is completed."""
