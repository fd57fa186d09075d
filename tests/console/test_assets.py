import gzip
import hashlib
import re
from importlib.resources import files

import pytest

from signalbox.console.assets import BUNDLES, CACHED_FOR_EVER, Assets, to_asset
from signalbox.console.errors import UnknownPageError
from tests.console.test_cookies import request

STATIC = files("signalbox.console") / "static"
VENDOR = STATIC / "vendor"


def test_an_address_changes_with_the_content() -> None:
    before = Assets({"a.css": to_asset("a.css", b"x")}).path("a.css")
    after = Assets({"a.css": to_asset("a.css", b"y")}).path("a.css")
    assert before != after
    assert re.fullmatch(r"/static/[0-9a-f]{16}/a\.css", before)


def test_a_file_is_served_to_be_kept_for_ever() -> None:
    asset = to_asset("a.css", b"body {}" * 100)
    answer = Assets({"a.css": asset}).answer(request(), asset.digest, "a.css")
    assert bytes(answer.body) == b"body {}" * 100
    assert answer.headers["cache-control"] == CACHED_FOR_EVER
    assert answer.headers["content-type"] == "text/css; charset=utf-8"


def test_who_takes_gzip_gets_it() -> None:
    asset = to_asset("a.css", b"body {}" * 100)
    answer = Assets({"a.css": asset}).answer(request(accept_encoding="br, gzip"), asset.digest, "a.css")
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(bytes(answer.body)) == b"body {}" * 100
    assert len(answer.body) < 100


@pytest.mark.parametrize(("digest", "name"), [("0" * 16, "a.css"), (None, "b.css"), (None, "../errors.py")])
def test_what_is_not_there_is_not_found(digest: str | None, name: str) -> None:
    asset = to_asset("a.css", b"x")
    with pytest.raises(UnknownPageError):
        Assets({"a.css": asset}).answer(request(), digest or asset.digest, name)


def test_our_own_are_found_and_notes_are_not() -> None:
    ours = Assets()
    assert ours.path("pages.css").endswith("/pages.css")
    for name in ("vendor/VENDORED.md", "console.css"):
        with pytest.raises(KeyError):
            ours.path(name)


def test_a_page_needs_one_file_of_each_kind() -> None:
    ours = Assets()
    for bundle, parts in BUNDLES.items():
        _, _, digest, name = ours.path(bundle).split("/")
        sent = bytes(ours.answer(request(), digest, name).body)
        for part in parts:
            assert (STATIC / part).read_bytes() in sent


def test_what_others_wrote_is_unchanged_and_has_its_licence() -> None:
    told = (VENDOR / "VENDORED.md").read_text(encoding="utf-8")
    listed = re.findall(r"`([^`]+/[^`]+)` \| `([0-9a-f]{64})`", told)
    assert len(listed) == 3
    for name, digest in listed:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
        assert (VENDOR / name.partition("/")[0] / "LICENSE").is_file()
    there = {
        f"{folder.name}/{each.name}" for folder in VENDOR.iterdir() if folder.is_dir() for each in folder.iterdir()
    }
    assert {name for name in there if not name.endswith("/LICENSE")} == {name for name, _ in listed}
