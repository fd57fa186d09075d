"""Microsoft Teams: a workflow that posts what its webhook is sent, an Adaptive Card.

https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
"""

import json
from typing import Any, Literal

from signalbox.core.rates import Rate
from signalbox.core.secrets import Secret
from signalbox.core.times import MICROSECONDS
from signalbox.notifications.channels import ChannelError, ChannelSettings, Equipment, Notice, Sent
from signalbox.notifications.channels.markup import byline, clean, heading, refuse_oversize
from signalbox.notifications.channels.post import Poster, check_status, sent
from signalbox.notifications.channels.targets import SecretUrl, parse_target, secret_parts

MAX_TEXT = 20_000
MAX_BYTES = 28_000
"""What Teams takes, the card's markup included."""
MAX_TITLE = 200
RATE = Rate(4, MICROSECONDS)
"""More in a second are throttled."""


class TeamsSettings(ChannelSettings):
    """A channel or chat of Microsoft Teams."""

    kind: Literal["teams"]
    webhook_url: SecretUrl
    """What the workflow "Send webhook alerts to a channel" shows."""


class TeamsChannel:
    """Posts each notice as a card of plain text: nothing in it is taken for markup."""

    settings_model = TeamsSettings

    def __init__(self, settings: TeamsSettings, equipment: Equipment) -> None:
        self.name, self.rate = settings.name, settings.rate or RATE
        self.max_length: int | None = MAX_TEXT
        self._target = parse_target(settings.webhook_url.reveal())
        self.host: str | None = self._target.origin.host
        hidden = secret_parts(self._target)
        self._post = Poster(equipment.outbound, settings.name, "teams", settings.timeout, "/workflows", hidden)

    @classmethod
    def example(cls, url: str) -> TeamsSettings:
        """The least that does."""
        address = f"{url}/workflows/0a1b2c/triggers/manual/paths/invoke?api-version=1&sig=Zx-9_example"
        return TeamsSettings(kind="teams", name="managers", webhook_url=Secret(address))

    async def send(self, notice: Notice) -> Sent:
        """Post the notice.

        Raises:
            ChannelError: the workflow did not take it, or the card is too large.
        """
        refuse_oversize(notice, MAX_TEXT)
        body = json.dumps(_message(notice), ensure_ascii=False, separators=(",", ":")).encode()
        if len(body) > MAX_BYTES:
            msg = f"the card has {len(body)} bytes, Teams takes {MAX_BYTES}"
            raise ChannelError(msg, permanent=True)
        answer = await self._post(self._target, body, headers=[(b"content-type", b"application/json")])
        check_status(answer)
        return sent(answer)

    async def close(self) -> None:
        """Nothing is held."""


def _message(notice: Notice) -> dict[str, Any]:
    lines = [_line(line, "Default") for line in clean(notice.text).split("\n")]
    title = _line(heading(notice, MAX_TITLE), "Medium", weight="Bolder")
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [title, *lines, _line(byline(notice), "Small")],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _line(text: str, size: str, *, weight: str = "Default") -> dict[str, Any]:
    # A TextRun is shown as it is; a TextBlock would read Markdown in it.
    run = {"type": "TextRun", "text": text or " ", "size": size, "weight": weight}
    return {"type": "RichTextBlock", "inlines": [run], "spacing": "None"}
