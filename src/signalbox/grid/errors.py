"""What can go wrong with the grid."""

from signalbox.core.errors import ConflictError, InvalidError, NotFoundError, SignalboxError, UnavailableError


class ComponentNotFoundError(NotFoundError):
    """There is no component with this id."""

    code = "component_not_found"


class ComponentExistsError(ConflictError):
    """The substation has a component of this name, or the id is taken."""

    code = "component_exists"


class DuplicateMeasurementError(ConflictError):
    """The component has a reading of this type at this instant."""

    code = "duplicate_measurement"


class RejectedBatchError(ConflictError):
    """A batch that is to be taken whole or not at all has rows that cannot be taken."""

    code = "batch_rejected"


class BatchTooLongError(InvalidError):
    """A batch has more rows than one transaction should."""

    code = "batch_too_long"


class BrokenBatchError(InvalidError):
    """The body of a batch broke off, or is wrong from some row on; rows before were taken."""

    code = "batch_broken"


class BadFileError(InvalidError):
    """A file cannot be read as what it is said to be."""

    code = "bad_file"


class MissingExtraError(InvalidError):
    """A library that is an extra is not installed."""

    code = "missing_extra"


class ReportNotFoundError(NotFoundError):
    """There is no report with this id."""

    code = "report_not_found"


class ReportUnfinishedError(ConflictError):
    """The report has not ended, so it has no result and cannot be begun anew."""

    code = "report_unfinished"


class ScheduleNotFoundError(NotFoundError):
    """There is no schedule of reports with this id."""

    code = "report_schedule_not_found"


class ScheduleExistsError(ConflictError):
    """Another schedule has this name."""

    code = "report_schedule_exists"


class RuleNotFoundError(NotFoundError):
    """There is no threshold rule with this id."""

    code = "threshold_rule_not_found"


class RuleExistsError(ConflictError):
    """Another threshold rule has this name."""

    code = "threshold_rule_exists"


class TooManyKeptError(ConflictError):
    """There are as many schedules or rules as the settings allow."""

    code = "too_many_kept"


class GridBusyError(UnavailableError):
    """Others change readings, and this transaction, which has added some too, must not wait until it is alone."""

    code = "grid_busy"


class BrokenChunkError(SignalboxError):
    """A chunk has a format that this version does not know."""

    code = "broken_chunk"
