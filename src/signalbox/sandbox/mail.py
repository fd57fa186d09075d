"""A simulated mail server: takes mail over SMTP (RFC 5321) and keeps it.

It speaks as much as clients need: EHLO, STARTTLS, AUTH PLAIN and LOGIN, MAIL, RCPT, DATA, RSET, NOOP, QUIT.
"""

import asyncio
import base64
import contextlib
import email
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from types import TracebackType
from typing import Self

from signalbox.sandbox.inbox import Entry

KEPT = 10_000
LARGEST = 10 << 20
_LINE = 65_536


@dataclass(frozen=True)
class Mail:
    """A mail as it was taken."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    raw: bytes
    user: str | None
    """Who had signed on."""
    encrypted: bool
    at: float = field(default_factory=time.time)
    """When it was taken, in seconds since 1970."""


@dataclass
class _Session:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    encrypted: bool
    user: str | None = None
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)

    async def say(self, *lines: str) -> None:
        """Send an answer of one or more lines, each ``250 text``."""
        text = "".join(
            f"{line[:3]}{'-' if number < len(lines) else ' '}{line[4:]}\r\n" for number, line in _count(lines)
        )
        self.writer.write(text.encode())
        await self.writer.drain()

    async def hear(self) -> str:
        """The next line, without its end.

        Raises:
            EOFError: the client has gone.
        """
        line = await self.reader.readuntil(b"\n")
        return line.decode("utf-8", "replace").rstrip("\r\n")


class MailServer:
    """``async with MailServer() as server: ... server.port ...``; ``mails`` holds what was taken.

    ``refuse`` maps what a client says (a verb such as ``DATA``, ``.`` for the end of a mail, or ``RCPT a@b.c``) to what
    is answered instead; an empty answer stands for silence. ``users`` makes signing on possible, and needed. ``delay``:
    seconds before each answer.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, implicit: bool = False, port: int = 0) -> None:
        self.mails: deque[Mail] = deque(maxlen=KEPT)
        self.refuse: dict[str, str] = {}
        self.users: Mapping[str, str] = {}
        self.delay = 0.0
        self.port = port
        self._tls, self._implicit = tls, implicit
        self._sessions: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """``smtp://127.0.0.1:port``."""
        return f"smtp://127.0.0.1:{self.port}"

    def entries(self) -> list[Entry]:
        """The mails as people see them."""
        return [_to_entry(mail) for mail in self.mails]

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._sessions)

    async def __aenter__(self) -> Self:
        tls = self._tls if self._implicit else None
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls, limit=_LINE)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served = asyncio.create_task(self._converse(_Session(reader, writer, self._implicit)))
        self._sessions.add(served)
        served.add_done_callback(self._sessions.discard)

    async def _converse(self, session: _Session) -> None:
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
                going = await _instead(session, self.refuse.get("CONNECT", "220 sandbox ESMTP"))
                while going:
                    going = await self._one_more(session)
        finally:
            session.writer.close()

    async def _one_more(self, session: _Session) -> bool:
        line = await session.hear()
        await asyncio.sleep(self.delay)
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        if (planned := self._planned(verb, rest)) is not None:
            return await _instead(session, planned)
        if verb == "QUIT":
            await session.say("221 bye")
            return False
        steps = {"EHLO": self._ehlo, "STARTTLS": self._starttls, "AUTH": self._auth, "MAIL": self._mail}
        step = (steps | {"RCPT": self._rcpt, "DATA": self._data, "RSET": self._rset}).get(verb, self._noop)
        await step(session, rest)
        return True

    def _planned(self, verb: str, rest: str) -> str | None:
        address = _address(rest) if verb == "RCPT" else ""
        return self.refuse.get(f"{verb} {address}", self.refuse.get(verb))

    async def _ehlo(self, session: _Session, _rest: str) -> None:
        offers = ["250 sandbox", "250 SIZE 10485760"]
        if self._tls is not None and not session.encrypted:
            offers.append("250 STARTTLS")
        if self.users:
            offers.append("250 AUTH PLAIN LOGIN")
        await session.say(*offers)

    async def _starttls(self, session: _Session, _rest: str) -> None:
        if self._tls is None or session.encrypted:
            await session.say("502 not offered")
            return
        await session.say("220 go on")
        await session.writer.start_tls(self._tls)
        session.encrypted = True

    async def _auth(self, session: _Session, rest: str) -> None:
        method, _, given = rest.partition(" ")
        if method.upper() == "PLAIN":
            if not given:
                await session.say("334 ")
                given = await session.hear()
            _, user, password = base64.b64decode(given).decode().split("\0")
        else:
            answers = []
            for question in ("Username:", "Password:")[bool(given) :]:
                await session.say(f"334 {base64.b64encode(question.encode()).decode()}")
                answers.append(await session.hear())
            pair = ([given] if given else []) + answers
            user, password = (base64.b64decode(each).decode() for each in pair)
        known = user in self.users and self.users[user] == password
        session.user = user if known else None
        await session.say("235 welcome" if known else f"535 5.7.8 not {user} with {password}")

    async def _mail(self, session: _Session, rest: str) -> None:
        if self.users and session.user is None:
            await session.say("530 5.7.0 sign on first")
            return
        session.sender, session.recipients = _address(rest), []
        await session.say("250 ok")

    async def _rcpt(self, session: _Session, rest: str) -> None:
        session.recipients.append(_address(rest))
        await session.say("250 ok")

    async def _rset(self, session: _Session, _rest: str) -> None:
        session.sender, session.recipients = None, []
        await session.say("250 ok")

    async def _noop(self, session: _Session, _rest: str) -> None:
        await session.say("250 ok")

    async def _data(self, session: _Session, _rest: str) -> None:
        if session.sender is None or not session.recipients:
            await session.say("503 first MAIL and RCPT")
            return
        await session.say("354 go on")
        raw = await _read_mail(session)
        if (planned := self.refuse.get(".")) is not None:
            await _instead(session, planned)
            return
        message = email.message_from_bytes(raw, policy=default)
        mail = Mail(session.sender, session.recipients, message, raw, session.user, session.encrypted)
        self.mails.append(mail)
        await session.say(f"250 taken as {len(self.mails)}")


def _to_entry(mail: Mail) -> Entry:
    text, page = (_part(mail.message, kind) for kind in ("plain", "html"))
    facts = [f"from {mail.sender} to {', '.join(mail.recipients)}"]
    return Entry(mail.at, str(mail.message["subject"] or ""), facts, text or "", page)


def _part(message: EmailMessage, kind: str) -> str | None:
    """The body of a kind, ``plain`` or ``html``; None where there is none that can be read."""
    part = message.get_body((kind,))
    try:
        content = None if part is None else part.get_content()
    except (LookupError, UnicodeError):  # an encoding that nobody knows
        return None
    return content if isinstance(content, str) else None


async def _instead(session: _Session, planned: str) -> bool:
    if not planned:
        await session.reader.read()  # silence, until the client has gone
        return False
    await session.say(planned)
    return not planned.startswith("421")


async def _read_mail(session: _Session) -> bytes:
    lines: list[bytes] = []
    size = 0
    while (line := await session.reader.readuntil(b"\n")) != b".\r\n":
        size += len(line)
        if size <= LARGEST:
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
    return b"".join(lines)


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]


def _count(lines: tuple[str, ...]) -> list[tuple[int, str]]:
    return list(enumerate(lines, start=1))
