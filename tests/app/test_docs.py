import re
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest

from tests.app.conftest import Site, is_problem, open_site
from tests.support.databases import Place
from tests.support.hub import settings_at

PAGES = ("/docs", "/redoc")


class Addresses(HTMLParser):
    """Every address that a page names: in attributes, and in its scripts' text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        wanted = {"src", "href", "spec-url", "action", "data", "poster", "srcset"}
        self.found += [value for name, value in attrs if name in wanted and value]

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.found += re.findall(r"""['"(]((?:https?:)?/[^'")\s]+)['")]""", data)


def addresses_of(page: str) -> list[str]:
    parser = Addresses()
    parser.feed(page)
    return parser.found


def test_addresses_are_found_wherever_they_hide() -> None:
    page = """<link href="a.css"><img src=//evil.test/x.png><redoc spec-url='/o.json'></redoc>
    <script>f({url: '/p.json', x: "https://evil.test/y.js"})</script><style>@import url(//evil.test/z.css)</style>"""
    found = addresses_of(page)
    assert found == ["a.css", "//evil.test/x.png", "/o.json", "/p.json", "https://evil.test/y.js", "//evil.test/z.css"]


@pytest.mark.parametrize("root", ["", "/b"])
@pytest.mark.parametrize("page", PAGES)
async def test_pages_name_own_addresses_only_and_these_exist(sqlite_place: Place, root: str, page: str) -> None:
    async with open_site(settings_at(sqlite_place, root_path=root)) as site:
        answer = await site.client.get(root + page)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        found = addresses_of(answer.text)
        assert f"{root}/openapi.json" in found
        assert any(address.endswith(".js") for address in found)
        for address in found:
            whole = urlsplit(urljoin(f"http://hub.test{root}{page}", address))
            assert whole.netloc == "hub.test", address
            assert (await site.client.get(whole.path)).status_code == 200, address
            assert whole.path.startswith(root + "/")


@pytest.mark.parametrize(
    ("name", "kind", "least"),
    [
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8", 500_000),
        ("swagger-ui.css", "text/css; charset=utf-8", 50_000),
        ("redoc.standalone.js", "text/javascript; charset=utf-8", 300_000),
        ("favicon.svg", "image/svg+xml", 100),
    ],
)
async def test_files_of_the_pages_come_from_the_package(site: Site, name: str, kind: str, least: int) -> None:
    answer = await site.client.get(f"/docs/assets/{name}")
    assert answer.headers["content-type"] == kind
    assert len(answer.content) >= least
    assert "max-age" in answer.headers["cache-control"]
    again = await site.client.get(f"/docs/assets/{name}", headers={"If-None-Match": answer.headers["etag"]})
    assert again.headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize("name", ["none.js", "..%2f..%2fdocs.py", "%2e%2e%2f..%2fdocs.py", "../../docs.py", "swagger"])
async def test_there_are_no_other_files(site: Site, name: str) -> None:
    answer = await site.running.ask(f"/docs/assets/{name}".encode())
    assert answer.status == 404


async def test_a_missing_file_is_said_in_the_usual_form(site: Site) -> None:
    is_problem(await site.client.get("/docs/assets/none.js"), status=404, code="unknown_asset")


async def test_authorize_asks_below_the_root_path(site: Site) -> None:
    document = (await site.client.get("/openapi.json")).json()
    flow = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"]
    assert urljoin("http://hub.test/b/openapi.json", flow["tokenUrl"]) == "http://hub.test/b/auth/token"
