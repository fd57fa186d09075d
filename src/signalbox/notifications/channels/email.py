"""Email over SMTP: text with an HTML alternative, one mail for each notice to all recipients."""

import asyncio
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from email.utils import format_datetime
from pathlib import Path
from typing import Annotated, Literal

import aiosmtplib
from pydantic import AfterValidator, Field, model_validator

from signalbox.core.logging import MASK
from signalbox.core.secrets import Secret
from signalbox.core.times import to_datetime
from signalbox.notifications.channels import MAX_EXCERPT, ChannelError, ChannelSettings, Equipment, Notice, Sent
from signalbox.notifications.channels.markup import byline, clean, escape_html, heading, one_line, refuse_oversize

MAX_TEXT = 200_000
MAX_SUBJECT = 200
MAX_RECIPIENTS = 100
PORTS = {"none": 25, "starttls": 587, "tls": 465}

_MAILBOX = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}"
_ADDRESS = re.compile(rf"(?:(?P<name>[^<>@,;:\"\\]{{0,100}})<(?P<inside>{_MAILBOX})>|(?P<bare>{_MAILBOX}))")
_POLICY = POLICY.clone(cte_type="7bit")  # for servers without 8BITMIME
_LOWEST, _PERMANENT = 200, 500
_LEAVING = 0.5
_BAD_CREDENTIALS = frozenset({534, 535, 538})


def _address(text: str) -> Address:
    parts = _ADDRESS.fullmatch(text)
    if parts is None or not text.isprintable():
        msg = "is one mail address, such as hub@example.com or Signalbox <hub@example.com>"
        raise ValueError(msg)
    return Address(display_name=(parts["name"] or "").strip(), addr_spec=parts["inside"] or parts["bare"])


def _check_address(text: str) -> str:
    _address(text)
    return text


def _check_authorities(path: Path) -> Path:
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError too, where it is no PEM file
        msg = f"cannot be read: {error.strerror or error}"
        raise ValueError(msg) from error
    return path


MailAddress = Annotated[str, AfterValidator(_check_address)]


class EmailSettings(ChannelSettings):
    """Recipients and the server that takes mail for them."""

    kind: Literal["email"]
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,255}$")]
    """Name or address of the SMTP server."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Unset: 587 with ``starttls``, 465 with ``tls``, 25 with ``none``."""
    tls: Literal["none", "starttls", "tls"] = "starttls"
    """``starttls``: encrypted after the greeting, or not sent at all; ``tls``: from the first byte on."""
    ca_file: Annotated[Path, AfterValidator(_check_authorities)] | None = None
    """PEM file of the authorities that vouch for the server; unset: those of the system."""
    username: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """Who signs on, where the server asks for it."""
    password: Secret | None = None
    """With ``username``."""
    sender: MailAddress
    """Whom the mails are from."""
    to: Annotated[tuple[MailAddress, ...], Field(min_length=1, max_length=MAX_RECIPIENTS)]
    """Whom they go to; all see each other."""

    @model_validator(mode="after")
    def _whole_credential(self) -> "EmailSettings":
        if (self.username is None) != (self.password is None):
            msg = "username and password belong together"
            raise ValueError(msg)
        if self.username is not None and self.tls == "none" and self.host not in {"localhost", "127.0.0.1", "::1"}:
            msg = "a password is not sent without encryption; set tls to starttls or tls"
            raise ValueError(msg)
        return self


class EmailChannel:
    """Sends each notice over a connection of its own."""

    settings_model = EmailSettings

    def __init__(self, settings: EmailSettings, equipment: Equipment) -> None:
        del equipment  # what it lends is for HTTP
        self.name, self.rate, self.host = settings.name, settings.rate, settings.host
        self.max_length: int | None = MAX_TEXT
        self._settings = settings
        self._password = None if settings.password is None else settings.password.reveal()
        self._tls = None if settings.tls == "none" else ssl.create_default_context(cafile=settings.ca_file)
        self._sender = _address(settings.sender)
        self._recipients = [_address(each) for each in settings.to]

    @classmethod
    def example(cls, url: str) -> EmailSettings:
        """The least that does, for ``smtp://host:port``."""
        host, _, port = url.removeprefix("smtp://").rpartition(":")
        return EmailSettings(
            kind="email",
            name="ops-mail",
            host=host,
            port=int(port),
            tls="none",
            sender="Signalbox <hub@example.com>",
            to=("ops@example.com",),
        )

    async def send(self, notice: Notice) -> Sent:
        """Send the notice as a mail; it has the same Message-ID however often it is sent.

        The notice counts as sent where the server took it for at least one recipient; the excerpt names the others.

        Raises:
            ChannelError: the server took it for nobody, or nobody knows.
        """
        refuse_oversize(notice, MAX_TEXT)
        mail = self.compose(notice)
        try:
            async with asyncio.timeout(self._settings.timeout):
                refused, answer = await self._deliver(mail.as_bytes(policy=_POLICY))
        except TimeoutError as error:  # of aiosmtplib too, which derives its own from it
            msg = f"{self._settings.host} did not answer in time"
            raise ChannelError(msg) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise self._failure(error) from error
        return Sent(mail["message-id"], 250, self._mask(f"{_who_not(refused)}{answer}"))

    async def close(self) -> None:
        """Nothing is held."""

    def compose(self, notice: Notice) -> EmailMessage:
        """The mail for a notice."""
        mail = EmailMessage(policy=_POLICY)
        mail["Message-ID"] = f"<{notice.id}.{self.name}@{self._sender.domain}>"
        mail["Date"] = format_datetime(to_datetime(notice.created_at))
        mail["From"] = self._sender
        mail["To"] = self._recipients
        mail["Subject"] = heading(notice, MAX_SUBJECT)
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: out-of-office replies stay away
        line = byline(notice)
        mail.set_content(f"{clean(notice.text)}\n\n-- \n{line}\n", cte="quoted-printable")
        body = notice.html if notice.html is not None else _as_html(notice.text)
        page = (
            f"<!DOCTYPE html>\n<html><body>{clean(body)}<hr><p><small>{escape_html(line)}</small></p></body></html>\n"
        )
        mail.add_alternative(page, subtype="html", cte="quoted-printable")
        return mail

    async def _deliver(self, mail: bytes) -> tuple[Mapping[str, tuple[int, str]], str]:
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port or PORTS[settings.tls],
            username=settings.username,
            password=self._password,
            local_hostname=socket.gethostname(),  # unset, it would be looked up, which blocks
            timeout=settings.timeout,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            tls_context=self._tls,
        )
        recipients = [each.addr_spec for each in self._recipients]
        try:
            await client.connect()
            refused, answer = await client.sendmail(self._sender.addr_spec, recipients, mail)
        except BaseException:
            client.close()
            raise
        await _leave(client)
        return refused, answer

    def _failure(self, error: Exception) -> ChannelError:
        if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
            return self._nobody(error.recipients)
        if not isinstance(error, aiosmtplib.SMTPResponseException):
            return ChannelError(self._mask(f"no mail to {self._settings.host}: {error}"))
        revoked = isinstance(error, aiosmtplib.SMTPAuthenticationError) and error.code in _BAD_CREDENTIALS
        if error.code < _LOWEST:
            return ChannelError(f"{self._settings.host} does not speak SMTP", excerpt=self._mask(error.message))
        return ChannelError(
            f"{self._settings.host} refused the {'sign-on' if revoked else 'mail'} with {error.code}",
            permanent=error.code >= _PERMANENT,
            disable=revoked,
            status=error.code,
            excerpt=self._mask(error.message),
        )

    def _nobody(self, refusals: Sequence[aiosmtplib.SMTPRecipientRefused]) -> ChannelError:
        """Every recipient was refused; for ever only where that holds for each."""
        said = _who_not({each.recipient: (each.code, each.message) for each in refusals})
        return ChannelError(
            f"{self._settings.host} takes mail for none of the recipients",
            permanent=all(each.code >= _PERMANENT for each in refusals),
            status=max(each.code for each in refusals),
            excerpt=self._mask(said),
        )

    def _mask(self, text: str) -> str:
        return one_line(text.replace(self._password, MASK) if self._password else text, MAX_EXCERPT)


async def _leave(client: aiosmtplib.SMTP) -> None:
    """End a connection in good manners; the mail is taken whatever becomes of it."""
    try:
        await client.quit(timeout=_LEAVING)
    except (aiosmtplib.SMTPException, OSError):
        client.close()


def _as_html(text: str) -> str:
    return f'<p style="white-space: pre-wrap">{escape_html(clean(text))}</p>'


def _who_not(refused: Mapping[str, tuple[int, str]]) -> str:
    return "".join(f"refused {address}: {code} {said}; " for address, (code, said) in refused.items())
