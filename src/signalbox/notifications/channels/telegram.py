"""Telegram: ``sendMessage`` of the Bot API, https://core.telegram.org/bots/api#sendmessage."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from signalbox.core.rates import Rate
from signalbox.core.retry_after import LONGEST
from signalbox.core.secrets import Secret
from signalbox.core.times import MICROSECONDS
from signalbox.infra.http import parse_origin
from signalbox.notifications.channels import ChannelError, ChannelSettings, Equipment, Notice, Sent
from signalbox.notifications.channels.markup import MAX_BYLINE, byline, clean, escape_html, heading, refuse_oversize
from signalbox.notifications.channels.post import Answer, Poster, check_status, refusal, sent
from signalbox.notifications.channels.targets import parse_target

MAX_MESSAGE = 4_096
"""UTF-16 units that a message may have once its markup is read."""
MAX_TITLE = 200
MAX_TEXT = MAX_MESSAGE - MAX_TITLE - MAX_BYLINE - 4
"""Leaves room for the title and the last line."""
RATE = Rate(1, MICROSECONDS)
"""What Telegram asks bots to keep to in one chat."""

_REVOKED = frozenset({401, 403, 404})
"""The token is no more, the bot was removed from the chat, there is no such bot."""
_TOO_MANY, _SERVER_ERROR = 429, 500


def _check_api(url: str) -> str:
    parse_origin(url)
    return url


def _check_token(secret: Secret) -> Secret:
    if not secret.reveal().replace(":", "").replace("-", "").replace("_", "").isalnum():
        msg = "is a bot's token, such as 123456:ABC-DEF"
        raise ValueError(msg)
    return secret


class TelegramSettings(ChannelSettings):
    """A chat of Telegram."""

    kind: Literal["telegram"]
    token: Annotated[Secret, AfterValidator(_check_token)]
    """The bot's."""
    chat_id: Annotated[str, Field(pattern=r"^(-?[0-9]{1,20}|@[A-Za-z0-9_]{1,64})$")]
    """The chat's number, negative for groups, or ``@name`` of a channel."""
    thread_id: Annotated[int, Field(ge=1)] | None = None
    """A topic within the group."""
    api_url: Annotated[str, AfterValidator(_check_api)] = "https://api.telegram.org"
    """Where the Bot API is."""


class TelegramChannel:
    """Sends each notice as a message with a bold title."""

    settings_model = TelegramSettings

    def __init__(self, settings: TelegramSettings, equipment: Equipment) -> None:
        self.name, self.rate = settings.name, settings.rate or RATE
        self.max_length: int | None = MAX_TEXT
        self._chat: dict[str, Any] = {"chat_id": settings.chat_id}
        if settings.thread_id is not None:
            self._chat["message_thread_id"] = settings.thread_id
        token = settings.token.reveal()
        self._target = parse_target(f"{settings.api_url.rstrip('/')}/bot{token}/sendMessage")
        self.host: str | None = self._target.origin.host
        self._post = Poster(
            equipment.outbound, settings.name, "telegram", settings.timeout, "/bot/sendMessage", [token]
        )

    @classmethod
    def example(cls, url: str) -> TelegramSettings:
        """The least that does, with the API at another place."""
        token = Secret("123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11")
        return TelegramSettings(kind="telegram", name="on-call", token=token, chat_id="-1001", api_url=url)

    async def send(self, notice: Notice) -> Sent:
        """Send the notice.

        Raises:
            ChannelError: Telegram did not say ok, or the message is too long for it.
        """
        refuse_oversize(notice, MAX_TEXT)
        message = {**self._chat, "text": _text(notice), "parse_mode": "HTML"}
        message["link_preview_options"] = {"is_disabled": True}
        headers = [(b"content-type", b"application/json")]
        return _result(await self._post(self._target, json.dumps(message).encode(), headers=headers))

    async def close(self) -> None:
        """Nothing is held."""


def _text(notice: Notice) -> str:
    title, text, line = heading(notice, MAX_TITLE), clean(notice.text), byline(notice)
    length = len(f"{title}\n\n{text}\n\n{line}".encode("utf-16-le")) // 2
    if length > MAX_MESSAGE:
        msg = f"the message has {length} characters with its title, Telegram takes {MAX_MESSAGE}"
        raise ChannelError(msg, permanent=True)
    return f"<b>{escape_html(title)}</b>\n\n{escape_html(text)}\n\n<i>{escape_html(line)}</i>"


def _result(answer: Answer) -> Sent:
    """Every answer is JSON with ``ok``; how long to wait stands in it and in no header."""
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = None
    if not isinstance(said, dict) or "ok" not in said:
        check_status(answer)
        raise refusal(answer, "the answer is none of Telegram's")
    if said["ok"] is True:
        result = said.get("result")
        number = result.get("message_id") if isinstance(result, dict) else None
        return sent(answer, provider_id=None if number is None else str(number))
    code = said.get("error_code")
    code = code if isinstance(code, int) else answer.status
    passing = code == _TOO_MANY or code >= _SERVER_ERROR
    answer = answer._replace(retry_after=_retry_after(said) or answer.retry_after)
    raise refusal(answer, f"Telegram answered {code}", permanent=not passing, disable=code in _REVOKED)


def _retry_after(said: dict[str, Any]) -> float | None:
    parameters = said.get("parameters")
    seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
    return min(max(float(seconds), 0.0), LONGEST) if isinstance(seconds, int | float) else None
