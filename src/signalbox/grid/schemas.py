"""What goes over the wire."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from signalbox.core.text import NO_NUL
from signalbox.core.times import to_micros
from signalbox.grid.schedule_periods import Every
from signalbox.grid.series import LARGEST_ID, MeasurementType
from signalbox.infra.events import Severity

LARGEST_VALUE: Final = 1e100
"""No reading is larger; squares of larger ones would not be finite."""
EARLIEST: Final = to_micros(datetime.min.replace(tzinfo=UTC))
"""Of what a reading may be, microseconds UTC: the first instant of the year 1."""
LATEST: Final = to_micros(datetime.max.replace(tzinfo=UTC))
"""The last of the year 9999."""
OUT_OF_TIME: Final = "the time is not in the years 1 to 9999 UTC"

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=NO_NUL)]
Value = Annotated[float, Field(ge=-LARGEST_VALUE, le=LARGEST_VALUE, allow_inf_nan=False)]
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


class ImportedRow(msgspec.Struct, frozen=True):
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
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=NO_NUL)] | None = None


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
    schedule_id: int | None = None
    """The schedule that it is one of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDetail(ReportOut):
    """A report with what it says."""

    result: dict[str, Any] | None
    """Once it is completed."""


class ScheduleIn(BaseModel):
    """A schedule: a report of each day, week or month, once it has ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[Name, Field(max_length=80)]
    """Its reports are named after it and their period: `Feeders 2026-W05`. No other schedule has it."""
    every: Every
    """Days, weeks (Monday to Sunday) or months."""
    timezone: Annotated[str, Field(max_length=60)] = "UTC"
    """A name of the IANA database, such as Europe/Berlin: periods and days are those of the zone."""
    delay_minutes: Annotated[int, Field(ge=0, le=7 * 24 * 60)] = 0
    """Minutes from the end of a period to its report, for readings that come late."""
    paused: bool = False
    """Makes no reports; once it goes on, the first is of the period that runs then."""


class ScheduleOut(ScheduleIn):
    """A schedule, and what it does next."""

    id: int
    next_start: AwareDatetime
    """Where the period of its next report begins."""
    next_end: AwareDatetime
    """Where that ends."""
    next_report_at: AwareDatetime | None
    """When that is made; None while it is paused."""
    last_report_id: int | None
    """Its newest report that was not deleted."""
    created_by: str
    created_at: AwareDatetime
    updated_at: AwareDatetime


class ThresholdRuleIn(BaseModel):
    """A bound that readings should keep to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    """No other rule has it."""
    measurement_type: MeasurementType
    comparison: Literal[">", "<"]
    """On which side of the bound a reading is wrong."""
    bound: Value
    clear: Value | None = None
    """Where it is well again: a reading at or below it for `>`, at or above it for `<`. Unset: the bound itself."""
    readings: Annotated[int, Field(ge=1, le=100)] = 1
    """How many readings in a row must be wrong."""
    component_id: Annotated[int, Field(ge=1, le=LARGEST_ID)] | None = None
    """Only this component; the rule goes with it."""
    component_type: str | None = None
    """Only components of this kind. Without it and `component_id`: all."""
    severity: Severity = "warning"
    """Of the event `grid.threshold`."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.component_id is not None and self.component_type is not None:
            msg = "component_id and component_type exclude each other"
            raise ValueError(msg)
        if self.clear is not None and (self.clear > self.bound if self.comparison == ">" else self.clear < self.bound):
            msg = f"clear = {self.clear:g} lies on the wrong side of the bound {self.bound:g}"
            raise ValueError(msg)
        return self


class ThresholdRuleOut(ThresholdRuleIn):
    """A rule, and how it stands."""

    id: int
    clear: float
    condition: str
    """`POWER > 55 for 3 readings`."""
    raised: int
    """How many components have crossed the bound and are not well again."""
    created_by: str
    created_at: AwareDatetime
    updated_at: AwareDatetime


class Crossing(BaseModel):
    """A component that crossed the bound of a rule and is not well again."""

    rule_id: int
    component_id: int
    since: AwareDatetime
    """Time of the reading that raised it."""
    value: float
    """Of that reading."""
