"""A simulated Bot API of Telegram: ``/bot{token}/sendMessage``, with its bounds and its HTML."""

import html
import re
from collections import deque
from typing import Any

from signalbox.sandbox.scripted import KEPT, Received, Reply, ScriptedApp, json_reply

LONGEST = 4_096
_PATH = re.compile(r"/bot([^/]+)/sendMessage")
_TAG = re.compile(r"</?(?:b|i|u|s|code|pre)>")


class TelegramApp(ScriptedApp):
    """``messages`` holds what was accepted. ``token``: the only one that is known; None takes any."""

    def __init__(self, token: str | None = None) -> None:
        super().__init__()
        self.messages: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.token = token

    def answer(self, request: Received) -> Reply:
        """Telegram's answer."""
        path = _PATH.fullmatch(request.path)
        if path is None or (self.token is not None and path[1] != self.token):
            return refused(401, "Unauthorized")
        message = request.json()
        if not message.get("chat_id"):
            return refused(400, "Bad Request: chat_id is empty")
        text = _TAG.sub("", message.get("text", ""))
        if "<" in text:
            return refused(400, "Bad Request: can't parse entities")
        length = len(html.unescape(text).encode("utf-16-le")) // 2
        if not 1 <= length <= LONGEST:
            return refused(400, "Bad Request: message is too long" if length else "Bad Request: text is empty")
        self.messages.append(message)
        return json_reply(200, {"ok": True, "result": {"message_id": len(self.messages)}})


def refused(code: int, description: str, *, retry_after: int | None = None) -> Reply:
    """What Telegram says where it does not do what it is asked; how long to wait stands in the body."""
    said: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    if retry_after is not None:
        said["parameters"] = {"retry_after": retry_after}
    return json_reply(code, said)
