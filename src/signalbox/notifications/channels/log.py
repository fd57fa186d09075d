"""The hub's own log: for trying things out, and where logs are collected anyway."""

import logging
from typing import Literal

from signalbox.notifications.channels import ChannelSettings, Equipment, Notice, Sent
from signalbox.notifications.channels.markup import clean, heading, refuse_oversize

MAX_TEXT = 20_000
MAX_TITLE = 200
_LEVELS = {"warning": logging.WARNING, "error": logging.ERROR, "critical": logging.CRITICAL}

_log = logging.getLogger(__name__)


class LogSettings(ChannelSettings):
    """The log."""

    kind: Literal["log"]


class LogChannel:
    """Writes each notice as one record, at the level of its severity; what ``log.level`` leaves out is not shown."""

    settings_model = LogSettings

    def __init__(self, settings: LogSettings, equipment: Equipment) -> None:
        del equipment  # what it lends is for HTTP
        self.name, self.rate = settings.name, settings.rate
        self.host: str | None = None
        self.max_length: int | None = MAX_TEXT

    @classmethod
    def example(cls, url: str) -> LogSettings:
        """All there is."""
        del url
        return LogSettings(kind="log", name="log")

    async def send(self, notice: Notice) -> Sent:
        """Write the notice.

        Raises:
            ChannelError: the text is too long.
        """
        refuse_oversize(notice, MAX_TEXT)
        details: dict[str, str | None] = {
            "notice": notice.id,
            "topic": notice.topic,
            "severity": notice.severity,
            "text": clean(notice.text),
        }
        named = {"channel": self.name, "app": notice.app, "customer": notice.customer}
        _log.log(_LEVELS.get(notice.severity, logging.INFO), heading(notice, MAX_TITLE), extra=details | named)
        return Sent(notice.id)

    async def close(self) -> None:
        """Nothing is held."""
