"""Plain text made safe for where it goes: headers, Slack's mrkdwn, HTML."""

import html
import re

from signalbox.notifications.channels import ChannelError, Notice

MAX_BYLINE = 500

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LINE_ENDS = re.compile(r"\r\n?")
_SPACE = re.compile(r"\s+")
_LINK = re.compile(r"https?://[^\s<>|]+")
_MRKDWN = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def clean(text: str) -> str:
    """The text with line feeds as line ends, without control characters and halves of surrogate pairs."""
    return _CONTROL.sub("", _LINE_ENDS.sub("\n", text))


def one_line(text: str, length: int) -> str:
    """The text as one line of at most ``length`` characters; fit for a header."""
    line = _SPACE.sub(" ", clean(text)).strip()
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def heading(notice: Notice, length: int) -> str:
    """The notice's title as one line; its topic where it has none."""
    return one_line(notice.title, length) or one_line(notice.topic, length)


def byline(notice: Notice) -> str:
    """Where a notice comes from, in one line: topic, severity, app, customer, id."""
    named = (("app ", notice.app), ("customer ", notice.customer))
    parts = [notice.topic, notice.severity, *(f"{label}{value}" for label, value in named if value), notice.id]
    return one_line(" · ".join(parts), MAX_BYLINE)


def escape_mrkdwn(text: str) -> str:
    """Text as Slack's mrkdwn: nobody is mentioned and no link is disguised; addresses in it become links."""
    pieces, end = [], 0
    for match in _LINK.finditer(text):
        pieces += [text[end : match.start()].translate(_MRKDWN), f"<{match[0].translate(_MRKDWN)}>"]
        end = match.end()
    return "".join([*pieces, text[end:].translate(_MRKDWN)])


def escape_html(text: str) -> str:
    """Text as HTML, quotes left alone: for the inside of an element, never for an attribute."""
    return html.escape(text, quote=False)


def refuse_oversize(notice: Notice, limit: int) -> None:
    """Check that the text is not longer than a channel takes.

    Raises:
        ChannelError: it has more than ``limit`` characters; for ever.
    """
    if len(notice.text) > limit:
        msg = f"the text has {len(notice.text)} characters, this channel takes {limit}"
        raise ChannelError(msg, permanent=True)
