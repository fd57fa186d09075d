"""What can go wrong with conversations."""

from signalbox.core.errors import (
    ConflictError,
    Fault,
    InvalidError,
    NotFoundError,
    UnavailableError,
    UnprocessableError,
)


class InvalidDatasetError(InvalidError):
    """What is to be imported is no data set: a folder or a column is missing, or it is no folder and no zip file."""

    code = "invalid_dataset"


class UnfinishedDatasetError(InvalidDatasetError):
    """A folder has no ``_SUCCESS``: whoever wrote it may not have come to the end."""

    code = "unfinished_dataset"


class CorruptPartError(InvalidDatasetError):
    """A part cannot be read; the message names it."""

    code = "corrupt_part"


class MissingExtraError(UnavailableError):
    """PyArrow is not installed."""

    code = "missing_extra"

    def __init__(self) -> None:
        super().__init__("Parquet files need PyArrow, which is not installed; install signalbox[data]")


class ImportNotFoundError(NotFoundError):
    """There is no such import."""

    code = "import_not_found"

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no import {number}")


class ImportEndedError(ConflictError):
    """An import has ended meanwhile, as when its job was cancelled or nothing was heard of it for long."""

    code = "import_ended"


class ConversationNotFoundError(NotFoundError):
    """The current data set has no such conversation, or no such transcript."""

    code = "conversation_not_found"


class TextsUnreadyError(UnavailableError):
    """The words of a new data set are still being taken up; all searches but ``q`` work."""

    code = "texts_unready"


class VersionGoneError(UnavailableError):
    """The version of the data set that was being read was replaced long ago, and its texts are deleted."""

    code = "version_gone"

    def __init__(self) -> None:
        super().__init__("this version of the data set was replaced and is deleted; ask again")


class InvalidQueryError(UnprocessableError):
    """A parameter of the query is not of its form."""

    code = "invalid_query"

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__([Fault(field, message)])
