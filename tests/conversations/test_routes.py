import json

from tests.conversations.conftest import PATH, Desk


async def test_an_import_is_shown_with_its_report(desk: Desk) -> None:
    found = await desk.get(f"{PATH}/imports/1")
    assert (found["state"], found["rows_done"], found["texts_done"]) == ("live", 11, 11)
    assert len(found["report"]["files"]) == 15
    missing = await desk.call(f"{PATH}/imports/9")
    assert (missing.status, json.loads(missing.body)["code"]) == (404, "import_not_found")


async def test_the_list_leads_on(desk: Desk) -> None:
    answer = await desk.call(f"{PATH}/imports?limit=1")
    assert (len(json.loads(answer.body)), answer.value(b"link")) == (1, None)
    assert (await desk.call(f"{PATH}/imports?cursor=x")).status == 400
