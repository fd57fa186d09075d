"""A simulated workflow of Microsoft Teams: any path takes a message with Adaptive Cards."""

import time
from collections import deque
from typing import Any

from signalbox.sandbox.scripted import KEPT, Received, Reply, ScriptedApp, pick

LARGEST = 28 * 1_024
PER_SECOND = 4
_CARD = "application/vnd.microsoft.card.adaptive"


class TeamsApp(ScriptedApp):
    """``messages`` holds what was accepted; more than four within a second are refused with 429."""

    def __init__(self, *, per_second: int = PER_SECOND) -> None:
        super().__init__()
        self.messages: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.throttled = 0
        self._times: deque[float] = deque(maxlen=per_second)

    def answer(self, request: Received) -> Reply:
        """The workflow's answer."""
        if len(request.body) > LARGEST:
            return Reply(413, b"Request Entity too large")
        message = request.json()
        if pick(message, "attachments", 0, "contentType") != _CARD:
            return Reply(400, b"Bad payload")
        now = time.monotonic()
        if len(self._times) == self._times.maxlen and now - self._times[0] < 1:
            self.throttled += 1
            return Reply(429, b"", [(b"retry-after", b"1")])
        self._times.append(now)
        self.messages.append(message)
        return Reply(202)
