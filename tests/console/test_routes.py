import re

import pytest

from tests.console.conftest import SignedIn, Visitor, header


async def test_every_file_that_pages_name_is_there(signed_in: SignedIn) -> None:
    somebody = await signed_in("user")
    named = set(re.findall(r'(?:href|src|data-then)="/console(/static/[^"]+)"', await somebody.text()))
    assert {path.rsplit("/", 1)[1] for path in named} == {"favicon.svg", "pages.css", "start.js", "pages.js"}
    for path in named:
        answer = await somebody.get(path)
        assert answer.status == 200, path
        assert "immutable" in header(answer, "Cache-Control")


async def test_files_need_no_session(visitor: Visitor) -> None:
    form = (await visitor.get("/sign-in")).body.decode()
    for path in re.findall(r'(?:href|src)="/console(/static/[^"]+)"', form):
        assert (await visitor.get(path)).status == 200


async def test_no_page_has_scripts_or_styles_in_it(signed_in: SignedIn) -> None:
    text = await (await signed_in("manager")).text()
    assert re.findall(r"<script(?![^>]*src=)[^>]*>", text) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:", text) == []


@pytest.mark.parametrize(("asked", "leads"), [("/", "/console"), ("/overview/parts//", "/console/overview/parts")])
async def test_a_slash_at_the_end_leads_to_the_page(signed_in: SignedIn, asked: str, leads: str) -> None:
    answer = await (await signed_in("user")).get(asked)
    assert (answer.status, header(answer, "Location")) == (303, leads)


async def test_the_console_is_no_part_of_the_api(visitor: Visitor) -> None:
    document = await visitor.hub.ask(b"/openapi.json")
    assert b"/console" not in document.body
