"""What can go wrong with the grid."""

from signalbox.core.errors import ConflictError, InvalidError, NotFoundError, SignalboxError


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


class BrokenChunkError(SignalboxError):
    """A chunk has a format that this version does not know."""

    code = "broken_chunk"
