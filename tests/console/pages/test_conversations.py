import re
from html import unescape
from pathlib import Path

import pytest

from signalbox.conversations import service
from signalbox.conversations.schemas import ImportOut
from tests.console.conftest import SignedIn, header
from tests.conversations.conftest import import_folder, made, talk, transcript, write
from tests.support.hub import RunningHub

EVIL = "<img src=x onerror=alert(1)>"


async def load(hub: RunningHub, folder: Path) -> None:
    rows = made()
    rows.conversation[0] |= {"answer": f"The Market {EVIL} moves."}
    await import_folder(hub.hub.context, write(folder, rows))


@pytest.fixture
async def loaded(hub: RunningHub, tmp_path: Path) -> RunningHub:
    """A hub with a small data set."""
    await load(hub, tmp_path / "data")
    return hub


async def test_without_a_data_set_it_is_said_what_to_do(signed_in: SignedIn) -> None:
    user = await signed_in("user")
    assert "No data set is imported yet" in await user.text("/conversations")
    text = await user.text("/conversations/imports")
    assert "Nothing was imported yet" in text
    assert "data-upload" not in text


async def test_words_are_found_and_marked(signed_in: SignedIn, loaded: RunningHub) -> None:
    user = await signed_in("user")
    text = await user.text("/conversations?q=market")
    assert "1 found" in text
    assert "<mark>Market</mark>" in text
    assert re.search(r'<time datetime="(\d{4}-\d\d-\d\d)T[^"]+Z" title="[^"]+" data-day>\1</time>', text)
    assert EVIL not in text
    assert "&lt;img" in text
    assert "Nothing was found" in await user.text("/conversations?q=nowhere")
    assert (await user.get("/conversations?since=soon")).status == 422


async def test_a_transcript_without_a_word_leads_to_the_imports(
    signed_in: SignedIn, hub: RunningHub, tmp_path: Path
) -> None:
    rows = made()
    rows.transcript.append(transcript(99, "conversation", "Nobody spoke"))
    await import_folder(hub.hub.context, write(tmp_path / "data", rows))
    text = await (await signed_in("user")).text("/conversations/transcripts/99")
    assert "Nothing was said" in text
    assert 'is told here:</p><a href="/console/conversations/imports">Imports</a>' in text


async def test_what_is_found_is_narrowed_by_facets(signed_in: SignedIn, loaded: RunningHub) -> None:
    user = await signed_in("user")
    text = await user.text("/conversations")
    assert "?company=Microsoft" in text
    narrowed = await user.text("/conversations?company=Microsoft")
    assert ">any</a>" in narrowed
    assert "?company=Zebra" not in narrowed


async def test_a_transcript_is_read_as_a_whole(signed_in: SignedIn, loaded: RunningHub) -> None:
    user = await signed_in("user")
    text = await user.text("/conversations/transcripts/30?q=question")
    assert '<li id="conversation-' in text
    assert "<mark>Question</mark>" in text
    assert re.search(r'<time datetime="(\d{4}-\d\d-\d\d)T[^"]+Z" title="[^"]+" data-day>\1</time>', text)
    assert (await user.get("/conversations/transcripts/999")).status == 404
    assert (await user.get("/conversations/transcripts/x")).status == 422


async def test_what_is_found_is_taken_along(signed_in: SignedIn, loaded: RunningHub) -> None:
    answer = await (await signed_in("user")).get("/conversations/export/csv?q=market")
    assert answer.body.startswith(b"id,kind,company")
    assert answer.body.count(b"\n") == 2
    assert header(answer, "Content-Disposition") == 'attachment; filename="conversations.csv"'


async def test_an_import_tells_of_every_file(signed_in: SignedIn, loaded: RunningHub) -> None:
    user = await signed_in("user")
    assert "live" in await user.text("/conversations/imports", htmx=True)
    text = await user.text("/conversations/imports/1")
    assert "By file" in text
    assert "Rejected" in text
    assert (await user.get("/conversations/imports/99")).status == 404
    assert (await user.get("/conversations/imports/x")).status == 404
    found: ImportOut = await loaded.hub.context.db.read(service.show_import, 1)
    assert found.state == "live"


async def test_many_are_found_page_by_page(signed_in: SignedIn, hub: RunningHub, tmp_path: Path) -> None:
    rows = made()
    rows.conversation += [talk(1_000 + number, number, id_transcript=30) for number in range(50)]
    await import_folder(hub.hub.context, write(tmp_path / "data", rows))
    user = await signed_in("user")
    text = await user.text("/conversations?q=question")
    assert "Page 1 of 3" in text
    assert "page=2" in text
    assert "Page 3 of 3" in await user.text("/conversations?q=question&page=3")


async def test_a_tag_with_a_comma_leads_to_what_has_it(signed_in: SignedIn, hub: RunningHub, tmp_path: Path) -> None:
    rows = made()
    rows.tag[0] |= {"tag_value": "mergers, acquisitions"}
    await import_folder(hub.hub.context, write(tmp_path / "data", rows))
    user = await signed_in("user")
    text = await user.text("/conversations")
    (path,) = set(re.findall(r'href="/console(/conversations\?tags=mergers[^"]*)"', text))
    assert "Nothing was found" not in await user.text(unescape(path))
