from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from jinja2 import UndefinedError

from signalbox.console.assets import Assets
from signalbox.console.templating import Templates

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def render(source: str, **values: object) -> str:
    templates = Templates(Assets())
    template = templates._environment.from_string(source)
    return template.render({"root": "/b", "now": NOW, **values})


def test_whatever_is_put_in_is_escaped() -> None:
    assert render("{{ x }}<a title='{{ x }}'>", x="<i>'") == "&lt;i&gt;&#39;<a title='&lt;i&gt;&#39;'>"


def test_a_name_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render("{{ missing }}")


def test_addresses_lie_below_the_root_path() -> None:
    assert render("{{ url('/jobs') }} {{ url() }}") == "/b/console/jobs /b/console"
    assert render("{{ asset('pages.css') }}").startswith("/b/console/static/")


def test_moments_know_the_present() -> None:
    assert "in 1 h" in render("{{ at | moment }}", at=datetime(2026, 1, 1, 1, tzinfo=UTC))


MACROS = '{% from "macros/ui.html" import act, field, pagination, live, pill, empty, notice, copy, stat with context %}'
EVIL = "\"><img src=x onerror=alert(1)>'"


@pytest.mark.parametrize(
    "call",
    [
        "act(x, x, confirm=x, values={x: x})",
        "act('/a', x, 'check')",
        "field(x, x, x, hint=x, errors={x: x}, placeholder=x, attributes={'title': x})",
        "field('a', 'A', x, type='textarea')",
        "field('a', 'A', x, options=[(x, x), x])",
        "pagination('/a', {'q': x}, x)",
        "pill('ok', x)",
        "empty(x, x)",
        "notice(x)",
        "copy(x)",
        "stat(x, x, x)",
    ],
)
def test_no_macro_lets_markup_in(call: str) -> None:
    elements: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            elements.extend([tag, *(name for name, _ in attrs)])

    reader = Reader()
    reader.feed(render(f"{MACROS}{{{{ {call} }}}}", x=EVIL))
    assert elements
    assert not {"img", "onerror", "src"} & set(elements)


def test_a_button_that_destroys_asks_first() -> None:
    rendered = render(f"{MACROS}{{{{ act('/jobs/1/cancel', 'Cancel', confirm='Really?') }}}}")
    assert 'hx-post="/b/console/jobs/1/cancel"' in rendered
    assert 'data-confirm="Really?"' in rendered


def test_a_part_asks_again_when_its_topics_change() -> None:
    rendered = render(f"{MACROS}<p {{{{ live('/x/rows', 'jobs tasks') }}}}>")
    assert 'hx-get="/b/console/x/rows"' in rendered
    assert 'hx-trigger="live:jobs from:body, live:tasks from:body"' in rendered


def test_a_wrong_field_says_so_to_everybody() -> None:
    rendered = render(f"{MACROS}{{{{ field('age', 'Age', 'x', errors={{'age': 'a number'}}) }}}}")
    assert 'aria-invalid="true"' in rendered
    assert 'aria-describedby="about-age"' in rendered
    assert '<p class="error">a number</p>' in rendered


def test_the_next_page_keeps_the_filters() -> None:
    rendered = render(f"{MACROS}{{{{ pagination('/jobs', {{'state': 'dead', 'cursor': 'a'}}, 'b') }}}}")
    assert 'href="/b/console/jobs?state=dead&amp;cursor=b"' in rendered
    assert 'href="/b/console/jobs?state=dead"' in rendered
    assert render(f"{MACROS}{{{{ pagination('/jobs', {{'state': 'dead'}}, none) }}}}").strip() == ""
