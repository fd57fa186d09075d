import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.notifications.channels import ChannelError
from signalbox.notifications.channels.markup import (
    byline,
    clean,
    escape_html,
    escape_mrkdwn,
    heading,
    one_line,
    refuse_oversize,
)
from tests.support.channels import HOSTILE, NOTICE


@given(st.text(), st.integers(1, 50))
def test_one_line_is_one_printable_line_of_the_length(text: str, length: int) -> None:
    line = one_line(text, length)
    assert len(line) <= length
    assert len(line.splitlines()) <= 1
    line.encode()


@given(st.text(st.characters(codec=None)))
def test_cleaned_text_can_be_encoded_and_holds_no_controls(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert not [sign for sign in cleaned if (sign < " " and sign not in "\n\t") or sign == "\x7f"]


def test_line_ends_become_one_kind() -> None:
    assert clean("a\r\nb\rc\nd\te") == "a\nb\nc\nd\te"


@given(st.text(alphabet="<>&|!@#ahtps:/. \n"))
def test_mrkdwn_has_no_angle_brackets_but_those_of_plain_links(text: str) -> None:
    rest = escape_mrkdwn(text)
    while (start := rest.find("<")) >= 0:
        link = rest[start + 1 : rest.index(">", start)]
        assert link.startswith(("http://", "https://"))
        assert not set(link) & set("<|")
        rest = rest[rest.index(">", start) + 1 :]
    assert ">" not in rest


@pytest.mark.parametrize(
    ("text", "mrkdwn"),
    [
        ("<!channel> & <@U1>", "&lt;!channel&gt; &amp; &lt;@U1&gt;"),
        ("see https://a.example/x?y=1&z=2 now", "see <https://a.example/x?y=1&amp;z=2> now"),
        ("<https://evil.example|https://bank.example>", "&lt;<https://evil.example>|<https://bank.example>&gt;"),
    ],
)
def test_mrkdwn(text: str, mrkdwn: str) -> None:
    assert escape_mrkdwn(text) == mrkdwn


def test_html() -> None:
    assert escape_html('<b> & "') == '&lt;b&gt; &amp; "'


def test_a_notice_without_a_title_is_headed_by_its_topic() -> None:
    assert heading(NOTICE, 50) == "A customer waits"
    assert heading(NOTICE.__class__(**{**vars(NOTICE), "title": " \n"}), 50) == "sales"


def test_the_byline_ends_with_the_id() -> None:
    assert byline(NOTICE) == "sales · warning · app bot · customer c-17 · msg_0001"


def test_oversize_is_refused_for_ever() -> None:
    refuse_oversize(NOTICE, len(NOTICE.text))
    with pytest.raises(ChannelError, match=r"has 22 characters, this channel takes 21") as caught:
        refuse_oversize(NOTICE, 21)
    assert caught.value.permanent


def test_hostile_text_is_one_line() -> None:
    assert "\n" not in one_line(HOSTILE, 1_000)
    assert "Bcc" in one_line(HOSTILE, 1_000)  # within the line, where it is harmless
