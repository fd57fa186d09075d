import pytest

from signalbox.core.errors import InvalidError
from signalbox.tasks.providers.addresses import parse_address

NAMES = ("id", "secret")


@pytest.mark.parametrize(
    ("text", "host", "target"),
    [
        ("https://api.example.com", "api.example.com:443", b"/"),
        ("http://api.example.com:8080/", "api.example.com:8080", b"/"),
        ("https://API.example.com/v1/jobs/{id}", "api.example.com:443", b"/v1/jobs/a%2Fb"),
        ("https://api.example.com?id={id}", "api.example.com:443", b"/?id=a%2Fb"),
        ("https://api.example.com/jobs/?key={secret.key}&x=/", "api.example.com:443", b"/jobs/?key=s3&x=/"),
        ("http://[::1]:99/x%20y", "[::1]:99", b"/x%20y"),
    ],
)
def test_an_address_is_split_and_filled_in(text: str, host: str, target: bytes) -> None:
    address = parse_address(text, NAMES, hidden=("secret",))
    assert (address.host, address.target({"id": "a/b", "secret": {"key": "s3"}})) == (host, target)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.example.com/jobs",
        "ftp://api.example.com/jobs",
        "https://{id}.example.com/jobs",
        "https://api.example.com:{id}/jobs",
        "https://user:password@api.example.com/jobs",
        "https://api.example.com/jobs#part",
        "https://api.example.com/a b",
        "https://api.example.com/ü",
        "https://api.example.com/\r\nx: y",
        "https://api.example.com/{name}",
        "https:///jobs",
        "https://api.example.com:99999/jobs",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_address(text, NAMES)


def test_secrets_stand_in_no_path_because_paths_are_logged() -> None:
    with pytest.raises(InvalidError, match="paths are written to the call log"):
        parse_address("https://api.example.com/{secret.key}/jobs", NAMES, hidden=("secret",))
