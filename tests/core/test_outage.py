"""What the log holds of an outage."""

import logging

import pytest

from signalbox.core.outage import OutageLog


def test_an_outage_is_two_lines_whatever_the_attempts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage = OutageLog(logging.getLogger("signalbox.test"), "letters wait", "letters go out again")
    outage.worked()
    assert caplog.records == []
    for _ in range(3):
        outage.failed(OSError("the post is closed\nsince noon"), letters=7)
    assert outage.is_failing
    outage.worked(lost=1)
    outage.worked()
    assert not outage.is_failing
    began, ended = caplog.records
    assert (began.levelno, began.message) == (logging.WARNING, "letters wait")
    assert (began.__dict__["reason"], began.__dict__["letters"]) == ("the post is closed", 7)
    assert (ended.levelno, ended.message, ended.__dict__["lost"]) == (logging.INFO, "letters go out again", 1)
