import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from signalbox.core.secrets import Secret
from signalbox.notifications.channels import ChannelError, Sent
from signalbox.notifications.channels.email import EmailChannel, EmailSettings
from signalbox.sandbox.mail import MailServer
from tests.support.channels import HOSTILE, NOTICE, open_channel, open_desk
from tests.support.timing import PATIENCE


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with MailServer() as made:
        yield made


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of ``localhost`` alone, which vouches for itself."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


def server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def settings(server: MailServer, **given: object) -> EmailSettings:
    return EmailChannel.example(server.url).model_copy(update=given)


async def send(settings: EmailSettings, text: str = NOTICE.text) -> Sent:
    async with open_desk() as desk, open_channel(settings, desk.equipment) as channel:
        return await channel.send(replace(NOTICE, text=text))


async def failure(settings: EmailSettings) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        await send(settings)
    return caught.value


async def test_a_mail_with_text_and_html(server: MailServer) -> None:
    sent = await send(settings(server), "Grüße\n.\nFrom here on <b>& so on")
    (mail,) = server.mails
    assert (mail.sender, mail.recipients, sent.status) == ("hub@example.com", ["ops@example.com"], 250)
    message = mail.message
    assert message["subject"] == "A customer waits"
    assert message["from"] == "Signalbox <hub@example.com>"
    assert message["auto-submitted"] == "auto-generated"
    assert message["date"].datetime.year == 2026
    text, html = (message.get_body([kind]) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n").startswith("Grüße\n.\nFrom here on <b>& so on\n\n-- \nsales")
    assert "Grüße\n.\nFrom here on &lt;b&gt;&amp; so on" in html.get_content().replace("\r\n", "\n")
    assert mail.raw.isascii()


async def test_a_repeat_has_the_same_message_id(server: MailServer) -> None:
    one, other = await send(settings(server)), await send(settings(server))
    assert one.provider_id == other.provider_id == "<msg_0001.ops-mail@example.com>"
    assert {mail.message["message-id"] for mail in server.mails} == {one.provider_id}


@given(st.text(st.characters(codec=None)))
def test_no_text_adds_a_header_or_a_recipient(text: str) -> None:
    evil = f"{text}\r\nBcc: all@example.com\n\n{text}"
    channel = EmailChannel(EmailChannel.example("smtp://h:1"), None)  # type: ignore[arg-type] # not looked at
    mail = channel.compose(replace(NOTICE, title=evil, text=evil, app=evil, customer=evil))
    assert sorted({name.lower() for name in mail}) == sorted(
        ["message-id", "date", "from", "to", "subject", "auto-submitted", "mime-version", "content-type"]
    )
    head = mail.as_bytes().partition(b"\r\n\r\n")[0]
    assert b"\nbcc:" not in head.lower()


async def test_hostile_text_ends_no_mail_early(server: MailServer) -> None:
    await send(settings(server), HOSTILE)
    assert len(server.mails) == 1
    assert server.mails[0].recipients == ["ops@example.com"]


@pytest.mark.parametrize("verb", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."])
@pytest.mark.parametrize(("code", "permanent"), [(451, False), (554, True)])
async def test_replies_that_refuse(server: MailServer, verb: str, code: int, *, permanent: bool) -> None:
    server.refuse[verb] = f"{code} no"
    if verb == "EHLO":
        server.refuse["HELO"] = server.refuse[verb]
    error = await failure(settings(server))
    assert (error.permanent, error.disable) == (permanent, False)
    assert error.status == code
    assert not server.mails


async def test_no_connection_is_left_behind(server: MailServer) -> None:
    await send(settings(server))
    server.refuse["RCPT"] = "550 no"
    await failure(settings(server))
    server.refuse["EHLO"] = ""
    await failure(settings(server, timeout=0.3))
    async with asyncio.timeout(PATIENCE):
        while server.connections:
            await asyncio.sleep(0.01)


async def test_some_recipients_refused_are_named_and_the_others_not_asked_again(server: MailServer) -> None:
    server.refuse["RCPT b@example.com"] = "550 unknown"
    sent = await send(settings(server, to=("a@example.com", "b@example.com")))
    assert "refused b@example.com: 550 unknown" in sent.excerpt
    assert server.mails[0].recipients == ["a@example.com"]


async def test_all_recipients_refused_may_pass_if_one_of_them_may(server: MailServer) -> None:
    server.refuse = {"RCPT a@example.com": "550 unknown", "RCPT b@example.com": "450 later"}
    assert not (await failure(settings(server, to=("a@example.com", "b@example.com")))).permanent
    server.refuse["RCPT b@example.com"] = "551 moved"
    assert (await failure(settings(server, to=("a@example.com", "b@example.com")))).permanent


async def test_a_wrong_password_disables_and_is_not_repeated(server: MailServer) -> None:
    server.users = {"hub": "right"}
    error = await failure(settings(server, username="hub", password=Secret("wrong-pass")))
    assert (error.disable, error.status) == (True, 535)
    assert "wrong-pass" not in error.excerpt
    await send(settings(server, username="hub", password=Secret("right")))
    assert server.mails[0].user == "hub"


@pytest.mark.parametrize("verb", ["CONNECT", "EHLO", "MAIL", "DATA", "."])
async def test_silence_ends_at_the_timeout(server: MailServer, verb: str) -> None:
    server.refuse[verb] = ""
    error = await failure(settings(server, timeout=0.3))
    assert (error.permanent, error.message) == (False, "127.0.0.1 did not answer in time")


async def test_the_timeout_holds_for_the_mail_and_not_for_each_step(server: MailServer) -> None:
    server.delay = 0.25
    error = await failure(settings(server, timeout=0.4))
    assert error.message == "127.0.0.1 did not answer in time"
    assert not server.mails


async def test_a_mail_that_was_taken_is_sent_whatever_comes_of_the_goodbye(server: MailServer) -> None:
    server.refuse["QUIT"] = ""
    assert (await send(settings(server))).status == 250


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_encrypted_with_a_certificate_that_is_trusted(certificate: tuple[Path, Path], tls: str) -> None:
    async with MailServer(tls=server_tls(certificate), implicit=tls == "tls") as server:
        given = settings(server, tls=tls, host="localhost", ca_file=certificate[0])
        await send(given)
        assert server.mails[0].encrypted


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_no_mail_to_whom_nobody_vouches_for(certificate: tuple[Path, Path], tls: str) -> None:
    async with MailServer(tls=server_tls(certificate), implicit=tls == "tls") as server:
        unknown = await failure(settings(server, tls=tls, host="localhost"))
        another = await failure(settings(server, tls=tls, host="127.0.0.1", ca_file=certificate[0]))
        assert not server.mails
    assert not unknown.permanent
    assert "ertificate" in unknown.message
    assert "ertificate" in another.message


async def test_without_encryption_nothing_is_sent_where_it_was_asked_for(server: MailServer) -> None:
    await failure(settings(server, tls="starttls"))
    assert not server.mails


@pytest.mark.parametrize(
    "given",
    [
        {"sender": "hub@example.com\r\nBcc: x@y.z"},
        {"sender": "nobody"},
        {"sender": "a@b.c, d@e.f"},
        {"to": []},
        {"to": ["a@b.c", "x y@z"]},
        {"to": ["<a@b.c> SIZE=1"]},
        {"host": "a b"},
        {"username": "hub"},
        {"password": "secret"},
        {"username": "hub", "password": "secret", "tls": "none"},
        {"tls": "maybe"},
        {"ca_file": "/nowhere/ca.pem"},
        {"ca_file": "/dev/null"},
    ],
)
def test_settings_that_do_not_fit(given: dict[str, object]) -> None:
    entry = {"kind": "email", "name": "m", "host": "mail.example", "sender": "a@b.c", "to": ["d@e.f"], **given}
    with pytest.raises(ValidationError):
        EmailSettings.model_validate(entry)
