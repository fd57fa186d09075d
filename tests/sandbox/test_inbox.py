from signalbox.sandbox.inbox import HEADERS, SHOWN, Entry, InboxApp, to_page
from signalbox.sandbox.server import LoopbackServer
from tests.sandbox.conftest import Fetch

EVIL = "<script>alert('1')</script>\"&\ud800"


def entry(number: int) -> Entry:
    return Entry(1_767_225_600.0 + number, f"title {number}", ["from ann"], f"text {number}")


def test_the_newest_comes_first_and_old_ones_are_counted() -> None:
    page = to_page("Chat", [entry(number) for number in range(SHOWN + 2)]).decode()
    assert page.index(f"title {SHOWN + 1}<") < page.index(f"title {SHOWN}<") < page.index("title 2<")
    assert "title 1<" not in page
    assert f"{SHOWN + 2} came" in page
    assert "nothing has come yet" in to_page("Chat", []).decode()


def test_nothing_that_was_sent_is_taken_for_markup() -> None:
    page = to_page(EVIL, [Entry(0.0, EVIL, [EVIL], EVIL, EVIL)]).decode()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 6


def test_a_page_can_be_held_still() -> None:
    assert 'http-equiv="refresh"' in to_page("Chat", []).decode()
    assert 'http-equiv="refresh"' not in to_page("Chat", [], still=True).decode()


def test_nothing_may_run_on_the_page() -> None:
    policy = dict(HEADERS)[b"content-security-policy"].decode()
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


async def test_it_is_served(fetch: Fetch) -> None:
    async with LoopbackServer(InboxApp("Mail", lambda: [entry(1)])) as server:
        for path, status in (("/inbox", 200), ("/", 200), ("/inbox?still", 200), ("/other", 404)):
            found = await fetch(server.url + path)
            assert found.status == status
            assert (b"title 1" in found.body) == (status == 200)
