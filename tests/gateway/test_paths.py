import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signalbox.gateway.paths import canonical, lenient_reading, sanitize_path, sanitize_query, strip_segments

URI = re.compile(rb"(?:[!$&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]|%[0-9A-Fa-f]{2})*")

segments = st.one_of(
    st.sampled_from([b"", b".", b"..", b"%2e", b"%2E", b".%2e", b"%2E.", b"%2e%2E", b"...", b".a", b"%2F", b"%252e"]),
    st.lists(st.sampled_from([b"a", b"B", b"%41", b"%2f", b"%5C", b"%", b"%2", b";", b"+", b" ", b"\xff", b"."])).map(
        b"".join
    ),
)
paths = st.lists(segments, min_size=1, max_size=8).map(lambda parts: b"/" + b"/".join(parts))
anything = st.binary(max_size=40).map(lambda data: b"/" + data)


def is_dot_segment(segment: bytes) -> bool:
    return segment.lower().replace(b"%2e", b".") in (b".", b"..")


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/categories/MLA97994",
        b"/a%2Fb",
        b"/a%2fb",
        b"/a%252Fb",
        b"//a///b//",
        b"/a+b%20c",
        b"/a;v=1,2:@!$&'()*=~-._",
        b"/...",
        b"/.hidden/a..b/..c",
        b"/%2e%2e%2fb",
        b"/[1]",
        b"/%C3%A9%00",
    ],
)
def test_a_valid_path_stays_as_it_is(path: bytes) -> None:
    assert sanitize_path(path) == path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/a/./b", b"/a/b"),
        (b"/a/../b", b"/b"),
        (b"/a/%2e%2E/b", b"/b"),
        (b"/a/.%2e/b", b"/b"),
        (b"/a/%2e/b", b"/a/b"),
        (b"/../../a", b"/a"),
        (b"/a/..", b"/"),
        (b"/a/b/.", b"/a/b/"),
        (b"/a//../b", b"/a/b"),
        (b"/..//a", b"//a"),
        (b"/a%2F../b", b"/a%2F../b"),
        (b"/a b", b"/a%20b"),
        (b'/"<>\\^`{|}', b"/%22%3C%3E%5C%5E%60%7B%7C%7D"),
        (b"/\xc3\xa9\x00\x7f", b"/%C3%A9%00%7F"),
        (b"/100%", b"/100%25"),
        (b"/%zz%4", b"/%25zz%254"),
        (b"/%%32e/a", b"/%25%32e/a"),
        (b"/a#b", b"/a%23b"),
    ],
)
def test_what_may_not_be_sent_is_resolved_or_encoded(path: bytes, expected: bytes) -> None:
    assert sanitize_path(path) == expected


@given(st.one_of(paths, anything))
def test_a_sanitized_path_is_safe_and_stays_so(path: bytes) -> None:
    sent = sanitize_path(path)
    assert URI.fullmatch(sent)
    assert sent.startswith(b"/")
    assert not any(map(is_dot_segment, sent.split(b"/")))
    assert sanitize_path(sent) == sent


@given(st.one_of(paths, anything))
def test_only_forbidden_characters_and_dot_segments_change_a_path(path: bytes) -> None:
    if URI.fullmatch(path) and not any(map(is_dot_segment, path.split(b"/"))):
        assert sanitize_path(path) == path


@given(st.lists(st.sampled_from([b"a", b"b", b".", b"..", b""]), max_size=8))
def test_dot_segments_are_resolved_as_the_rfc_does(parts: list[bytes]) -> None:
    """RFC 3986, 5.2.4, step by step on the text."""
    rest, done = b"/" + b"/".join(parts), b""
    while rest:
        if rest.startswith(b"/./") or rest == b"/.":
            rest = b"/" + rest[3:]
        elif rest.startswith(b"/../") or rest == b"/..":
            rest, done = b"/" + rest[4:], done[: done.rfind(b"/")] if done else b""
        else:
            end = rest.find(b"/", 1)
            end = len(rest) if end < 0 else end
            done, rest = done + rest[:end], rest[end:]
    assert sanitize_path(b"/" + b"/".join(parts)) == done


@pytest.mark.parametrize("query", [b"", b"a=1&a=2&b", b"q=a+b%20c&x=%2F%252F;y", b"a[]=1&b=?/:@", b"&&=&"])
def test_a_valid_query_stays_as_it_is(query: bytes) -> None:
    assert sanitize_query(query) == query


@given(st.binary(max_size=40))
@example(b"a=/../%2e%2e/")
def test_a_query_is_encoded_where_it_must_be_and_nowhere_else(query: bytes) -> None:
    sent = sanitize_query(query)
    assert URI.fullmatch(sent)
    assert sanitize_query(sent) == sent
    if URI.fullmatch(query):
        assert sent == query


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/pr%69vate/%7Ex", b"/private/~x"),
        (b"//private///x", b"/private/x"),
        (b"/%40me/%3A%2B%3b", b"/@me/:+;"),
        (b"/a%2fb%c3", b"/a%2Fb%C3"),
        (b"/a%252Fb", b"/a%252Fb"),
        (b"/%2541", b"/%2541"),
        (b"/a%20b%3F%23", b"/a%20b%3F%23"),
    ],
)
def test_other_spellings_have_one_canonical_form(path: bytes, expected: bytes) -> None:
    assert canonical(path) == expected


@given(st.one_of(paths, anything).map(sanitize_path))
def test_the_canonical_form_is_final_and_safe(path: bytes) -> None:
    form = canonical(path)
    assert canonical(form) == form
    assert b"//" not in form
    assert not any(map(is_dot_segment, form.split(b"/")))


@given(
    st.text(alphabet="abcXYZ019-._~!$&'()*+,;=:@", min_size=1).filter(lambda text: not is_dot_segment(text.encode()))
)
def test_encoding_any_plain_character_changes_nothing(segment: str) -> None:
    plain = f"/{segment}".encode()
    encoded = b"/" + b"".join(b"%%%02x" % byte for byte in segment.encode())
    assert canonical(encoded) == canonical(plain) == plain


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/private", None),
        (b"/a%252Fb", None),
        (b"/private%2Fx", b"/private/x"),
        (b"/open%5Cx", b"/open/x"),
        (b"/open%2F..%2Fprivate", b"/private"),
        (b"/open/..;a=1/private;b", b"/private"),
        (b"/%2Fprivate", b"/private"),
    ],
)
def test_the_reading_of_a_lenient_server(path: bytes, expected: bytes | None) -> None:
    assert lenient_reading(path) == expected


@pytest.mark.parametrize(
    ("path", "count", "expected"),
    [
        (b"/shop", 1, b"/"),
        (b"/shop/", 1, b"/"),
        (b"/shop/a", 1, b"/a"),
        (b"/shop//a", 1, b"//a"),
        (b"//shop//a", 1, b"//a"),
        (b"/%73hop/a%2Fb", 1, b"/a%2Fb"),
        (b"/v1/shop/a/b", 2, b"/a/b"),
        (b"/v1//shop", 2, b"/"),
    ],
)
def test_segments_are_taken_off_however_they_are_spelt(path: bytes, count: int, expected: bytes) -> None:
    assert strip_segments(path, count) == expected


@given(paths.map(sanitize_path), st.integers(0, 4))
def test_what_is_left_is_the_end_of_the_path(path: bytes, count: int) -> None:
    left = strip_segments(path, count)
    assert left.startswith(b"/")
    assert path.endswith(left) or left == b"/"
    kept = [segment for segment in path.split(b"/") if segment][count:]
    assert [segment for segment in left.split(b"/") if segment] == kept
