"""The simulated mail server, asked by the standard library's client."""

import asyncio
import smtplib
import ssl
import subprocess
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import TypeVar

import pytest

from signalbox.sandbox.mail import MailServer

T = TypeVar("T")
MAIL = "Subject: hello\r\n\r\nline\r\n..dots\r\n"


async def ask(server: MailServer, talk: Callable[[smtplib.SMTP], T], *, implicit: ssl.SSLContext | None = None) -> T:
    def connected() -> T:
        if implicit is None:
            with smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client:
                return talk(client)
        with smtplib.SMTP_SSL("127.0.0.1", server.port, timeout=10, context=implicit) as client:
            return talk(client)

    return await asyncio.to_thread(connected)


def send(client: smtplib.SMTP) -> object:
    return client.sendmail("a@example.com", ["b@example.com", "c@example.com"], MAIL)


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What the server shows, and a client's trust in it."""
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context, ssl.create_default_context(cafile=files[0])


async def test_a_mail_is_kept_as_it_was_sent() -> None:
    async with MailServer() as server:
        assert server.url == f"smtp://127.0.0.1:{server.port}"
        await ask(server, send)
    (mail,) = server.mails
    assert (mail.sender, mail.recipients) == ("a@example.com", ["b@example.com", "c@example.com"])
    assert mail.raw.endswith(b"line\r\n..dots\r\n")
    assert (mail.message["subject"], mail.user, mail.encrypted) == ("hello", None, False)


async def test_it_refuses_what_it_is_told_to() -> None:
    async with MailServer() as server:
        server.refuse["RCPT c@example.com"] = "550 unknown"
        assert await ask(server, send) == {"c@example.com": (550, b"unknown")}
        server.refuse["."] = "452 full"
        with pytest.raises(smtplib.SMTPDataError):
            await ask(server, send)
    assert [mail.recipients for mail in server.mails] == [["b@example.com"]]


@pytest.mark.parametrize("method", ["auth_plain", "auth_login"])
async def test_signing_on(method: str) -> None:
    def sign_on(client: smtplib.SMTP) -> None:
        client.ehlo()
        client.user, client.password = "hub", "secret"
        client.auth(method.removeprefix("auth_").upper(), getattr(client, method))
        send(client)

    async with MailServer() as server:
        server.users = {"hub": "secret"}
        await ask(server, sign_on)
        with pytest.raises(smtplib.SMTPSenderRefused):
            await ask(server, send)
        server.users = {"hub": "other"}
        with pytest.raises(smtplib.SMTPAuthenticationError):
            await ask(server, sign_on)
    assert [mail.user for mail in server.mails] == ["hub"]


async def test_encryption_from_the_first_byte_or_after_the_greeting(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    def upgraded(client: smtplib.SMTP) -> None:
        client.starttls(context=tls[1])
        client.ehlo()
        assert not client.has_extn("starttls")
        send(client)

    async with MailServer(tls=tls[0]) as server:
        await ask(server, upgraded)
        assert server.mails[0].encrypted
    async with MailServer(tls=tls[0], implicit=True) as server:
        await ask(server, send, implicit=tls[1])
        assert server.mails[0].encrypted


async def test_a_client_that_goes_in_the_middle_leaves_nothing() -> None:
    async with MailServer() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nhalf")
        writer.close()
        await ask(server, send)
    assert len(server.mails) == 1


async def test_people_see_what_was_taken() -> None:
    plain = EmailMessage()
    plain["Subject"] = "Hello <b>"
    plain.set_content("<i>line</i>")
    plain.add_alternative("<p>line</p>", subtype="html")
    async with MailServer() as server:
        await ask(server, lambda client: client.sendmail("a@example.com", ["b@example.com"], plain.as_bytes()))
        await ask(
            server, lambda client: client.sendmail("a@example.com", ["b@example.com"], b"Content-Type: a\r\n\r\nx")
        )
        first, second = server.entries()
    assert (first.title, first.text.strip(), (first.source or "").strip()) == (
        "Hello <b>",
        "<i>line</i>",
        "<p>line</p>",
    )
    assert first.facts == ["from a@example.com to b@example.com"]
    assert (second.title, second.source) == ("", None)
