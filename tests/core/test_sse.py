import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.core.asgi import Message
from signalbox.core.drain import Drain
from signalbox.core.sse import CAPACITY, ENDING, TOO_SLOW, Mailbox, ServerSentEvent, comment, serve_events
from tests.support.timing import PATIENCE, until

LONG = 60.0
RETRY = b"retry: 1000\n\n"


class Reader:
    """A client, and the server's connection to it, which takes no more while ``stalled``."""

    def __init__(self, method: str = "GET") -> None:
        self.scope = {"type": "http", "method": method, "path": "/"}
        self.gone, self.takes = asyncio.Event(), asyncio.Event()
        self.takes.set()
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.takes.wait()
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def ended(self) -> bool:
        last = self.sent[-1] if self.sent else {}
        return last.get("type") == "http.response.body" and not last.get("more_body", False)

    def serve(self, mailbox: Mailbox, drain: Drain, *, heartbeat: float = LONG) -> "asyncio.Task[None]":
        serving = serve_events(self.scope, self.receive, self.send, mailbox, drain=drain, heartbeat=heartbeat)
        return asyncio.create_task(serving)


# -- the form ---------------------------------------------------------------------------------------------------------


def test_an_event_is_written_as_the_standard_says() -> None:
    assert ServerSentEvent("a").encode() == b"data: a\n\n"
    whole = ServerSentEvent('{"é": 1}\nb\r\nc\rd\n', name="changed", id="7")
    said = 'id: 7\nevent: changed\ndata: {"é": 1}\ndata: b\ndata: c\ndata: d\ndata: \n\n'
    assert whole.encode() == said.encode()
    assert ServerSentEvent("").encode() == b"data: \n\n"
    assert comment("wait") == b": wait\n\n"


@pytest.mark.parametrize("wrong", ["a\nb", "a\rb", "a\0b"])
def test_names_and_ids_cannot_make_lines(wrong: str) -> None:
    for event in (ServerSentEvent("a", name=wrong), ServerSentEvent("a", id=wrong)):
        with pytest.raises(ValueError, match="neither line ends nor NUL"):
            event.encode()


def parse(text: str) -> list[tuple[str, str, str]]:
    """Events as the standard reads them (9.2.6): name, data, id."""
    found, name, data, last_id = [], "", list[str](), ""
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                found.append((name or "message", "\n".join(data), last_id))
            name, data = "", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id":
            last_id = value
    return found


words = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1)


@given(data=st.text(st.characters(exclude_categories=["Cs"])), name=words, id=words)
def test_readers_get_what_was_put_in_with_line_ends_made_equal(data: str, name: str, id: str) -> None:  # noqa: A002 - as the field is called
    said = ServerSentEvent(data, name=name, id=id).encode().decode()
    assert parse(said) == [(name, data.replace("\r\n", "\n").replace("\r", "\n"), id)]


# -- streams ----------------------------------------------------------------------------------------------------------


async def test_events_come_in_order_and_end_with_the_mailbox() -> None:
    reader, mailbox = Reader(), Mailbox()
    serving = reader.serve(mailbox, Drain())
    await until(lambda: reader.body == RETRY)
    start = reader.sent[0]
    assert start["status"] == 200
    assert (b"content-type", b"text/event-stream; charset=utf-8") in start["headers"]
    mailbox.put(ServerSentEvent("1"))
    mailbox.put(b"data: 2\n\n")
    await until(lambda: reader.body == RETRY + b"data: 1\n\ndata: 2\n\n")
    mailbox.put(ServerSentEvent("3"))
    mailbox.close("that is all")
    mailbox.put(ServerSentEvent("4"))
    await serving
    assert reader.body.endswith(b"data: 3\n\n: that is all\n\n")
    assert reader.ended


async def test_silence_is_broken_by_comments() -> None:
    reader, mailbox = Reader(), Mailbox()
    serving = reader.serve(mailbox, Drain(), heartbeat=0.01)
    await until(lambda: reader.body.count(b": \n\n") >= 3)
    mailbox.close()
    await serving


async def test_a_reader_that_leaves_ends_its_stream() -> None:
    reader, mailbox, drain = Reader(), Mailbox(), Drain()
    serving = reader.serve(mailbox, drain)
    await until(lambda: reader.sent)
    reader.gone.set()
    async with asyncio.timeout(PATIENCE):
        await serving
    assert mailbox.closed
    drain.begin()


async def test_a_reader_that_falls_behind_is_cut_off_and_told_so() -> None:
    reader, mailbox = Reader(), Mailbox()
    serving = reader.serve(mailbox, Drain())
    await until(lambda: reader.body == RETRY)
    reader.takes.clear()
    mailbox.put(b"data: first\n\n")
    await until(lambda: not mailbox._waiting)  # on its way, where it stays
    for number in range(CAPACITY + 500):
        mailbox.put(b"data: %d\n\n" % number)
        assert len(mailbox._waiting) <= CAPACITY
    reader.takes.set()
    await serving
    assert reader.body == RETRY + b"data: first\n\n" + comment(TOO_SLOW)
    assert reader.ended


async def test_a_drain_ends_streams_after_what_waits() -> None:
    reader, mailbox, drain = Reader(), Mailbox(), Drain()
    serving = reader.serve(mailbox, drain)
    await until(lambda: reader.body == RETRY)
    mailbox.put(b"data: last\n\n")
    drain.begin()
    async with asyncio.timeout(PATIENCE):
        await serving
    assert reader.body == RETRY + b"data: last\n\n" + comment(ENDING)
    late = Reader()
    async with asyncio.timeout(PATIENCE):
        await late.serve(Mailbox(), drain)
    assert late.ended


async def test_head_is_answered_and_not_streamed() -> None:
    reader = Reader("HEAD")
    async with asyncio.timeout(PATIENCE):
        await reader.serve(Mailbox(), Drain())
    assert reader.ended
    assert reader.body == b""
