import sys

import pytest

from signalbox.notifications.errors import RenderError
from signalbox.notifications.templates import (
    MAX_OUTPUT,
    MAX_SUMMARY,
    MAX_TITLE,
    Member,
    Subject,
    check_template,
    default_text,
    default_title,
    render,
    summary,
)

START = 1_767_225_600_000_000
SUBJECT = Subject(
    "msg_1", "sales", "info", "Please call <b>back</b>\nat noon", "shop", "ACME", {"region": "eu", "n": 3}, START
)


def test_without_templates_a_message_says_all_that_is_known() -> None:
    look = render(SUBJECT)
    assert look.title == "sales: Please call <b>back</b>"
    assert look.text.splitlines() == [
        "Please call <b>back</b>",
        "at noon",
        "",
        "Customer: ACME",
        "App: shop",
        "region: eu",
        "n: 3",
    ]
    assert look.html is None


def test_several_messages_are_named_one_by_one() -> None:
    members = [Member(f"msg_{n}", "sales", "info" if n else "error", f"number {n}\nmore", START) for n in range(2)]
    group = Subject("msg_0", "sales", "info", "number 0", None, None, {}, START, members)
    assert default_title(group) == "2 messages: sales"
    assert default_text(group).splitlines() == ["- 00:00:00 sales error: number 0", "- 00:00:00 sales: number 1"]


def test_a_template_sees_the_message() -> None:
    look = render(
        SUBJECT,
        title="{{ topic|upper }}\nfor {{ customer }}",
        text="{{ description }} ({{ metadata.region }}, {{ created_at|time }})",
        html="<p>{{ description }}</p>",
    )
    assert look.title == "SALES for ACME"
    assert look.text == "Please call <b>back</b>\nat noon (eu, 2026-01-01T00:00:00.000000Z)"
    assert look.html == "<p>Please call &lt;b&gt;back&lt;/b&gt;\nat noon</p>"


def test_what_a_message_says_is_never_a_template() -> None:
    hostile = Subject("m", "t", "info", "{{ 7 * 7 }}{% raw %}", None, None, {}, START)
    assert render(hostile, text="{{ description }}").text == "{{ 7 * 7 }}{% raw %}"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ description.__init__.__globals__ }}",
        "{{ metadata.update({'a': 1}) }}",
        "{{ 'x' * 100000 }}",
        "{{ 'x' * 9999 * 9999 }}",
        "{{ 9 ** 9999999 }}",
        "{{ nothing }}",
        "{{ metadata.nothing }}",
        "{{ range(10) }}",
        "{{ 1 // 0 }}",
        "{% for a in 'x' * 9999 %}{% for b in 'x' * 9999 %}{{ description }}{% endfor %}{% endfor %}",
        "{% for a in 'x' * 9999 %}{% for b in 'x' * 9999 %}{% for c in 'x' * 9999 %}{% endfor %}{% endfor %}{% endfor %}",
    ],
)
def test_a_template_can_neither_break_out_nor_run_on(source: str) -> None:
    before = sys.gettrace()
    with pytest.raises(RenderError):
        render(SUBJECT, text=check_template(source))
    assert sys.gettrace() is before


def test_a_template_is_checked_when_settings_are_read() -> None:
    with pytest.raises(ValueError, match=r"line 2"):
        check_template("{{ topic }}\n{% if %}")


def test_outputs_are_bounded() -> None:
    assert len(render(SUBJECT, title="{{ 'x' * 5000 }}").title) == MAX_TITLE
    with pytest.raises(RenderError, match=str(MAX_OUTPUT)):
        render(SUBJECT, text="{{ 'x' * 9999 }}" * 11)
    assert len(summary("y" * 1_000)) == MAX_SUMMARY
    assert summary("\n  \n first \nsecond") == "first"
    assert summary("") == ""
