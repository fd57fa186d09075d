"""A page on which people see what a simulated server was sent: newest first, as plain text, with nothing that could run.

What it shows was written by anybody, so all of it is escaped, and the policy of the page allows its one style only.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import islice
from typing import Final

from starlette.types import Receive, Scope, Send

from signalbox.sandbox.exchange import Exchange, Headers, Tally

SHOWN: Final = 100
"""Entries on a page; older ones are counted only."""
REFRESH: Final = 5
"""Seconds after which a browser looks again."""
STILL: Final = "still"
"""As the query: do not look again."""

_STYLE: Final = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:46rem;margin:0 auto;padding:1rem}
h1{font-size:1.3rem}h2{font-size:1.05rem;margin:0 0 .3rem}
article{border:1px solid #8886;border-radius:.5rem;padding:.8rem 1rem;margin:0 0 1rem;overflow-wrap:anywhere}
p,pre{margin:.3rem 0;white-space:pre-wrap;font:inherit}
details pre{font:.85rem/1.4 ui-monospace,monospace}
small,summary{opacity:.75}
""".strip()
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Final[Headers] = [
    (b"content-type", b"text/html; charset=utf-8"),
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'".encode(),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that was sent; all of it plain text by whoever sent it."""

    at: float
    """Seconds since 1970."""
    title: str
    facts: Sequence[str]
    """Where it came from and went to, one line each."""
    text: str
    source: str | None = None
    """What is folded away, such as the HTML of a mail."""


def to_page(title: str, entries: Sequence[Entry], *, still: bool = False) -> bytes:
    """The page; ``entries`` oldest first."""
    refresh = "" if still else f'<meta http-equiv="refresh" content="{REFRESH}">'
    link = '<a href="?">look again by itself</a>' if still else f'<a href="?{STILL}">hold it still</a>'
    shown = "".join(map(_article, islice(reversed(entries), SHOWN)))
    count = "nothing has come yet" if not entries else f"{len(entries)} came, the newest first"
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">{refresh}'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><header><h1>{escape(title)}</h1><p>{count} · {link}</p></header>"
        f"<main>{shown}</main></body></html>"
    ).encode("utf-8", "replace")


class InboxApp:
    """An ASGI app that shows ``entries()``, oldest first, at ``/inbox`` and ``/``."""

    def __init__(self, title: str, entries: Callable[[], Iterable[Entry]]) -> None:
        self._title, self._entries = title, entries
        self._tally = Tally()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but HTTP is refused."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        async with Exchange(scope, receive, send, self._tally) as exchange:
            if exchange.method not in {"GET", "HEAD"} or exchange.raw_path not in {b"/", b"/inbox"}:
                await exchange.answer(404)
                return
            page = to_page(self._title, list(self._entries()), still=exchange.query_string == STILL.encode())
            await exchange.answer(200, page, HEADERS)


def _article(of: Entry) -> str:
    facts = "".join(f"<br>{escape(fact)}" for fact in of.facts)
    moment = datetime.fromtimestamp(of.at, UTC)
    source = "" if of.source is None else f"<details><summary>source</summary><pre>{escape(of.source)}</pre></details>"
    return (
        f"<article><h2>{escape(of.title)}</h2><p>{escape(of.text)}</p>{source}"
        f'<small><time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment:%H:%M:%S} UTC</time>{facts}</small></article>'
    )
