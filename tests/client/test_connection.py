import asyncio

import pytest

from signalbox.client.connection import BrokenError, Connection
from signalbox.client.messages import Request, Response

REQUEST = Request("GET", "/", {}, b"")


async def exchange(*answer: bytes) -> tuple[Response, bool]:
    """What a server that says this is understood as, and whether its connection may be used again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in answer:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        connection = await Connection.open("127.0.0.1", port, authority="hub.test", tls=None)
        try:
            return await connection.send(REQUEST), connection.reusable
        finally:
            connection.close()


async def test_bodies_end_as_their_framing_says() -> None:
    assert await exchange(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") == (
        Response(200, {"content-length": "2"}, b"{}"),
        True,
    )
    chunked = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n{\r\n", b"1\r\n}\r\n0\r\nT: v\r\n\r\n")
    response, reusable = await exchange(*chunked)
    assert (response.body, reusable) == (b"{}", True)
    response, reusable = await exchange(b"HTTP/1.0 200 OK\r\n\r\n{}")
    assert (response.body, reusable) == (b"{}", False)
    assert (await exchange(b"HTTP/1.1 204 No Content\r\n\r\n"))[0].body == b""


async def test_interim_answers_are_passed_over_and_an_end_is_heeded() -> None:
    response, reusable = await exchange(
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    assert (response.status, reusable) == (503, False)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(BrokenError):
        await exchange(answer)


async def test_an_answer_that_breaks_off_is_an_error() -> None:
    with pytest.raises(EOFError):
        await exchange(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}")
