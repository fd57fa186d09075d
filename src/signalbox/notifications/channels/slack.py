"""Slack: an incoming webhook, or ``chat.postMessage`` with a bot's token.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks,
https://docs.slack.dev/reference/methods/chat.postMessage
"""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from signalbox.core.rates import Rate
from signalbox.core.secrets import Secret
from signalbox.core.times import MICROSECONDS
from signalbox.infra.http import parse_origin
from signalbox.notifications.channels import ChannelError, ChannelSettings, Equipment, Notice, Sent
from signalbox.notifications.channels.markup import byline, clean, escape_mrkdwn, heading, refuse_oversize
from signalbox.notifications.channels.post import Answer, Poster, check_status, refusal, sent
from signalbox.notifications.channels.targets import SecretUrl, Target, parse_target, secret_parts

MAX_TEXT = 12_000
"""A message has at most 50 blocks of 3,000 characters, and escaping may make five of one."""
MAX_HEADER = 150
MAX_SECTION = 3_000
MAX_FALLBACK = 3_000
_LONGEST_ESCAPE = 5
RATE = Rate(1, MICROSECONDS)
"""What Slack allows for each channel, over longer times."""

_WORD = re.compile(r"[a-z0-9_]{1,60}")
_REVOKED = frozenset(
    {"account_inactive", "invalid_auth", "invalid_token", "not_authed", "token_expired", "token_revoked"}
    | {"no_service", "no_active_hooks", "no_team", "team_disabled"}
)
"""Errors that say that the credential or the webhook is no more."""

_PASSING = frozenset(
    {"fatal_error", "internal_error", "message_limit_exceeded", "ratelimited", "rate_limited", "request_timeout"}
    | {"rollup_error", "service_unavailable", "team_added_to_org"}
)
"""Errors that may be gone the next time; all others say something about the message or the settings."""


def _check_api(url: str) -> str:
    parse_origin(url)
    return url


class SlackSettings(ChannelSettings):
    """A channel of Slack."""

    kind: Literal["slack"]
    webhook_url: SecretUrl | None = None
    """An incoming webhook, ``https://hooks.slack.com/services/...``; it knows its channel."""
    token: Secret | None = None
    """A bot's token with the scope ``chat:write``, instead of a webhook."""
    channel: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """With ``token``: the channel's id, such as C0123456789."""
    api_url: Annotated[str, AfterValidator(_check_api)] = "https://slack.com/api"
    """With ``token``: where the Web API is."""

    @model_validator(mode="after")
    def _one_way(self) -> "SlackSettings":
        if (self.webhook_url is None) == (self.token is None):
            msg = "set either webhook_url, or token and channel"
            raise ValueError(msg)
        if (self.token is None) != (self.channel is None):
            msg = "token and channel belong together"
            raise ValueError(msg)
        return self


class SlackChannel:
    """Posts each notice as blocks, with a fallback text for notifications of the client."""

    settings_model = SlackSettings

    def __init__(self, settings: SlackSettings, equipment: Equipment) -> None:
        self.name, self.rate = settings.name, settings.rate or RATE
        self.max_length: int | None = MAX_TEXT
        self._channel = settings.channel
        self._token = None if settings.token is None else settings.token.reveal()
        self._target = _target(settings)
        self.host: str | None = self._target.origin.host
        hidden = secret_parts(self._target) if self._token is None else [self._token]
        path = "/services" if self._token is None else "/api/chat.postMessage"
        self._post = Poster(equipment.outbound, settings.name, "slack", settings.timeout, path, hidden)

    @classmethod
    def example(cls, url: str) -> SlackSettings:
        """The least that does."""
        return SlackSettings(kind="slack", name="sales", webhook_url=Secret(f"{url}/services/T000/B000/XXXX"))

    async def send(self, notice: Notice) -> Sent:
        """Post the notice.

        Raises:
            ChannelError: Slack did not say ok.
        """
        refuse_oversize(notice, MAX_TEXT)
        message: dict[str, Any] = {"text": _fallback(notice), "blocks": _blocks(notice)}
        headers = [(b"content-type", b"application/json; charset=utf-8")]
        if self._token is not None:
            message["channel"] = self._channel
            headers.append((b"authorization", f"Bearer {self._token}".encode()))
        answer = await self._post(self._target, json.dumps(message).encode(), headers=headers)
        return _webhook_result(answer) if self._token is None else _api_result(answer)

    async def close(self) -> None:
        """Nothing is held."""


def _target(settings: SlackSettings) -> Target:
    if settings.webhook_url is not None:
        return parse_target(settings.webhook_url.reveal())
    return parse_target(f"{settings.api_url.rstrip('/')}/chat.postMessage")


def _webhook_result(answer: Answer) -> Sent:
    """A webhook answers ``ok``, or a status with a word that says why not."""
    word = answer.body.decode("utf-8", "replace").strip()
    if answer.is_success and word == "ok":
        return sent(answer)
    if answer.is_success or word in _REVOKED | _PASSING:
        raise _failure(answer, word)
    check_status(answer)
    return sent(answer)


def _api_result(answer: Answer) -> Sent:
    """The API answers 200 whatever happens; whether it worked stands in ``ok``."""
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = None
    if not isinstance(said, dict) or "ok" not in said:
        check_status(answer)
        raise refusal(answer, "the answer is none of Slack's")
    if said["ok"] is True:
        return sent(answer, provider_id=str(said.get("ts", "")) or None)
    raise _failure(answer, str(said.get("error", "unknown_error")))


def _failure(answer: Answer, word: str) -> ChannelError:
    if not _WORD.fullmatch(word):
        return refusal(answer, "the answer is none of Slack's")
    return refusal(answer, f"Slack answered {word}", permanent=word not in _PASSING, disable=word in _REVOKED)


def _fallback(notice: Notice) -> str:
    text = clean(f"{heading(notice, MAX_HEADER)}\n{notice.text}")
    return escape_mrkdwn(text[: MAX_FALLBACK // _LONGEST_ESCAPE])


def _blocks(notice: Notice) -> list[dict[str, Any]]:
    sections = [_section(piece) for piece in _pieces(clean(notice.text))]
    title = {"type": "header", "text": _plain(heading(notice, MAX_HEADER))}
    return [title, *sections, {"type": "context", "elements": [_plain(byline(notice))]}]


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _section(mrkdwn: str) -> dict[str, Any]:
    # verbatim: Slack looks for no names of people and channels in it.
    return {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn, "verbatim": True}}


def _pieces(text: str) -> list[str]:
    """The text as mrkdwn in pieces that fit a section; cut at line ends where there are any."""
    pieces = []
    while text:
        end = _fitting(text)
        pieces.append(escape_mrkdwn(text[:end].rstrip("\n")))
        text = text[end:].lstrip("\n")
    return [piece for piece in pieces if piece.strip()]


def _fitting(text: str) -> int:
    """How many characters of the text fit a section once they are escaped."""
    end = min(len(text), MAX_SECTION)
    while (length := len(escape_mrkdwn(text[:end]))) > MAX_SECTION:
        end = end * MAX_SECTION // length
    line = text.rfind("\n", 1, end)
    return line + 1 if end < len(text) and line > end // 2 else end
