import pytest

from signalbox.app.errors import status_of
from signalbox.console import errors
from signalbox.core.errors import SignalboxError


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.SignInFirstError, 401),
        (errors.ManagerOnlyError, 403),
        (errors.ForgedRequestError, 403),
        (errors.UnknownPageError, 404),
        (errors.TooManyStreamsError, 503),
    ],
)
def test_each_has_its_status(kind: type[SignalboxError], status: int) -> None:
    assert status_of(kind("why"))[0] == status
