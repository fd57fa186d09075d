"""A simulated Slack: incoming webhooks below ``/services`` and ``/api/chat.postMessage``, with Slack's rules.

One message a second for each channel (429 with Retry-After), limits of blocks, tokens that can be revoked and webhooks
that can be removed. What else can go wrong is scripted.
"""

import html
import math
import time
from collections import deque
from typing import Any

from signalbox.sandbox.inbox import HEADERS, STILL, Entry, to_page
from signalbox.sandbox.scripted import KEPT, Received, Reply, ScriptedApp, json_reply, pick

MOST_BLOCKS = 50
LONGEST_SECTION = 3_000
LONGEST_HEADER = 150
LONGEST_TEXT = 40_000

API = "/api/chat.postMessage"
TOKEN = "xoxb-sandbox-token"
_TEXTS = ("header", "section")
"""Blocks that have a text."""
_WEBHOOK_STATUS = {
    "no_service": 404,
    "channel_not_found": 404,
    "channel_is_archived": 410,
    "invalid_token": 403,
    "rate_limited": 429,
}


class SlackApp(ScriptedApp):
    """``messages`` holds what was accepted: the payload, with ``channel`` and, for webhooks, their path as channel."""

    def __init__(self, *, interval: float = 1.0, tokens: frozenset[str] = frozenset({TOKEN})) -> None:
        super().__init__()
        self.messages: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.throttled = 0
        """Messages that came too soon after another."""
        self.tokens = set(tokens)
        self.revoked: set[str] = set()
        self.removed: set[str] = set()
        """Paths of webhooks that are no more."""
        self.archived: set[str] = set()
        """Channels, or paths of webhooks, that take nothing any more."""
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        """The accepted messages as people see them at ``/inbox``."""
        self._interval = interval
        self._free_at: dict[str, float] = {}

    def answer(self, request: Received) -> Reply:
        """Slack's answer."""
        if request.path == API:
            return self._api(request)
        if request.path.startswith("/services/"):
            return self._webhook(request)
        return Reply(404)

    def page(self, request: Received) -> Reply | None:
        """``GET /inbox``: what was accepted, for people."""
        path, _, query = request.path.partition("?")
        if request.method != "GET" or path not in {"/", "/inbox"}:
            return None
        return Reply(200, to_page("Chat", list(self.entries), still=query == STILL), HEADERS)

    def ids(self) -> list[str]:
        """The ids of the accepted notices, in their order, repeats included: the last word of the last block."""
        texts = (pick(each, "blocks", -1, "elements", 0, "text") or "" for each in self.messages)
        return [text.rpartition(" ")[2] for text in texts]

    def _webhook(self, request: Received) -> Reply:
        channel = request.path
        word = "no_service" if channel in self.removed else self._refusal(request, channel)
        if word is None:
            return Reply(200, b"ok")
        status = _WEBHOOK_STATUS.get(word, 400)
        return Reply(status, word.encode(), self._wait_header(channel) if word == "rate_limited" else ())

    def _api(self, request: Received) -> Reply:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.revoked:
            return json_reply(200, {"ok": False, "error": "token_revoked"})
        if token not in self.tokens:
            return json_reply(200, {"ok": False, "error": "invalid_auth" if token else "not_authed"})
        channel = str(pick(_payload(request), "channel") or "")
        word = self._refusal(request, channel) if channel else "channel_not_found"
        if word == "rate_limited":
            return json_reply(429, {"ok": False, "error": "ratelimited"}, self._wait_header(channel))
        if word is not None:
            return json_reply(200, {"ok": False, "error": word.replace("channel_is_archived", "is_archived")})
        return json_reply(200, {"ok": True, "channel": channel, "ts": f"{time.time():.6f}"})

    def _refusal(self, request: Received, channel: str) -> str | None:
        """Why a message is not taken; None where it is, and kept."""
        payload = _payload(request)
        word = "channel_is_archived" if channel in self.archived else _fault(payload)
        if word is not None:
            return word
        if time.monotonic() < self._free_at.get(channel, 0.0):
            self.throttled += 1
            return "rate_limited"
        self._free_at[channel] = time.monotonic() + self._interval
        self.messages.append({**payload, "channel": channel})
        self.entries.append(_to_entry(payload, channel))
        return None

    def _wait_header(self, channel: str) -> list[tuple[bytes, bytes]]:
        seconds = max(1, math.ceil(self._free_at.get(channel, 0.0) - time.monotonic()))
        return [(b"retry-after", b"%d" % seconds)]


def _payload(request: Received) -> Any:
    try:
        return request.json()
    except ValueError:
        return None


def _to_entry(payload: dict[str, Any], channel: str) -> Entry:
    """A message as the client of a chat shows it: its markup read, its blocks one below the other."""
    blocks = payload.get("blocks") or []
    texts = {
        kind: [_shown(pick(each, "text", "text")) for each in blocks if pick(each, "type") == kind] for kind in _TEXTS
    }
    notes = [_shown(pick(each, "elements", 0, "text")) for each in blocks if pick(each, "type") == "context"]
    title = " ".join(texts["header"]) or _shown(payload.get("text")).partition("\n")[0]
    return Entry(time.time(), title, [channel, *notes], "\n".join(texts["section"]))


def _shown(text: Any) -> str:
    return html.unescape(str(text or ""))


def _fault(payload: Any) -> str | None:
    if not isinstance(payload, dict):
        return "invalid_payload"
    blocks = payload.get("blocks") or []
    if not payload.get("text") and not blocks:
        return "no_text"
    if len(payload.get("text") or "") > LONGEST_TEXT:
        return "msg_too_long"
    return "invalid_blocks" if len(blocks) > MOST_BLOCKS or any(map(_is_bad, blocks)) else None


def _is_bad(block: Any) -> bool:
    if pick(block, "type") == "context":
        return not all(pick(each, "text") for each in block["elements"])
    longest = {"section": LONGEST_SECTION, "header": LONGEST_HEADER}.get(str(pick(block, "type")), 0)
    return not 1 <= len(pick(block, "text", "text") or "") <= longest
