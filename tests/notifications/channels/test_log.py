import logging
from dataclasses import replace

import pytest

from signalbox.notifications.channels.log import LogChannel
from tests.support.channels import NOTICE, open_channel, open_desk


@pytest.mark.parametrize(
    ("severity", "level"),
    [("info", logging.INFO), ("warning", logging.WARNING), ("error", logging.ERROR), ("critical", logging.CRITICAL)],
)
async def test_a_notice_is_a_record_at_the_level_of_its_severity(
    caplog: pytest.LogCaptureFixture, severity: str, level: int
) -> None:
    caplog.set_level(logging.INFO)
    async with open_desk() as desk, open_channel(LogChannel.example(""), desk.equipment) as channel:
        await channel.send(replace(NOTICE, severity=severity, title="100 %s\r\nforged"))
    (record,) = [each for each in caplog.records if each.name.endswith("channels.log")]
    assert (record.levelno, record.getMessage()) == (level, "100 %s forged")
    assert vars(record)["text"] == NOTICE.text
    assert vars(record)["notice"] == NOTICE.id
