from collections import deque

import pytest

from signalbox.core.errors import InvalidError
from signalbox.infra.http import Detached, InvalidResponseError, Origin, parse_origin, read_all


@pytest.mark.parametrize(
    ("url", "origin", "base"),
    [
        ("http://api.example.com", Origin("http", "api.example.com", 80), b""),
        ("https://api.example.com/", Origin("https", "api.example.com", 443), b""),
        ("https://API.Example.com:8443/v1/", Origin("https", "api.example.com", 8443), b"/v1"),
        ("HTTP://127.0.0.1:8080/a%20b//c", Origin("http", "127.0.0.1", 8080), b"/a%20b//c"),
        ("http://[::1]:9000/x", Origin("http", "::1", 9000), b"/x"),
        ("https://xn--bcher-kva.example/", Origin("https", "xn--bcher-kva.example", 443), b""),
    ],
)
def test_addresses(url: str, origin: Origin, base: bytes) -> None:
    assert parse_origin(url) == (origin, base)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "//api.example.com",
        "ftp://api.example.com",
        "ftp://api.example.com:21",
        "http://",
        "http:///path",
        "http://:80",
        "http://host:port",
        "http://host:99999",
        "http://host:0",
        "http://user@host",
        "http://user:pw@host",
        "http://:pw@host",
        "http://host?a=b",
        "http://host/#there",
        "http://[::1",
        "http://host/a b",
        "http://ho st/",
        "http://host/\r\nx: y",
        "http://host/ü",
        "http://bücher.example",
        "http://host/\x7f",
    ],
)
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(InvalidError):
        parse_origin(url)


@pytest.mark.parametrize("url", ["http://user:hunter2@host", "http://user:hunter2@host:port", "http://u:hunter2@ho st"])
def test_a_refused_password_is_not_repeated(url: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_origin(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("origin", "authority"),
    [
        (Origin("http", "host", 80), b"host"),
        (Origin("https", "host", 443), b"host"),
        (Origin("http", "host", 443), b"host:443"),
        (Origin("https", "host", 80), b"host:80"),
        (Origin("http", "::1", 80), b"[::1]"),
        (Origin("https", "::1", 8443), b"[::1]:8443"),
    ],
)
def test_the_host_header_names_the_port_where_it_is_not_the_usual_one(origin: Origin, authority: bytes) -> None:
    assert origin.authority == authority


def test_origins_with_one_key_are_equal() -> None:
    one, same, other = Origin("http", "host", 80), Origin("http", "host", 80), Origin("https", "host", 80)
    assert (one, one.key) == (same, same.key)
    assert one.key != other.key
    assert one.pinned("192.0.2.1") == same.pinned("192.0.2.1") != one
    assert len({one.key, one.pinned("192.0.2.1").key, one.pinned("192.0.2.2").key}) == 3
    assert one.pinned("192.0.2.1").authority == one.authority


class Pieces:
    """A ``Response`` whose body comes in these pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.status, self.headers = 200, list[tuple[bytes, bytes]]()
        self._pieces = deque(pieces)
        self.closed = False

    def whole(self) -> bytes | None:
        return None

    async def read(self) -> bytes:
        return self._pieces.popleft() if self._pieces else b""

    def detach(self) -> Detached:
        msg = "no connection changed to another protocol"
        raise RuntimeError(msg)

    def close(self) -> None:
        self.closed = True


async def test_a_body_of_the_limit_is_read() -> None:
    assert await read_all(Pieces(b"abc", b"de"), limit=5) == b"abcde"


async def test_a_body_over_the_limit_is_given_up() -> None:
    response = Pieces(b"abc", b"de", b"f", b"never read")
    with pytest.raises(InvalidResponseError, match="larger than 5 bytes"):
        await read_all(response, limit=5)
    assert response.closed
    assert await response.read() == b"never read"
