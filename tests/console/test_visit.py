import json
from typing import Annotated

import pytest
from pydantic import BaseModel, Field
from starlette.responses import Response

from signalbox.console.page import Page, Route, action
from signalbox.console.visit import Visit, check
from signalbox.core.errors import UnprocessableError
from tests.console.conftest import Answers, SignedIn, console_of

FORM = "application/x-www-form-urlencoded"


class Lamp(BaseModel):
    name: Annotated[str, Field(min_length=2)]
    watts: int = 5


async def echo(visit: Visit) -> Response:
    lamp = await visit.parse(Lamp)
    return visit.done(f"{lamp.name} has {lamp.watts} W.", "lamps", "jobs")


async def away(visit: Visit) -> Response:
    return visit.done("gone", location="/elsewhere")


async def tell(visit: Visit) -> Response:
    told = {"query": dict(visit.query), "path": visit.path["name"], "fragment": visit.is_fragment}
    return visit.json({**told, "actor": visit.actor, "manager": visit.is_manager, "url": visit.url("/x")})


LAMPS = Page(
    "lamps",
    "/lamps",
    "Lamps",
    "overview",
    (Route("/lamps/{name}", tell), action("/lamps", echo), action("/away", away)),
)


@pytest.fixture
async def answers(signed_in: SignedIn) -> Answers:
    return console_of(await signed_in("manager"), LAMPS)


async def test_a_form_is_checked_and_empty_fields_count_as_not_sent(answers: Answers) -> None:
    answer = await answers.ask("/lamps", method="POST", htmx=True, body=b"name=hall&watts=", Content_Type=FORM)
    assert answer.status_code == 204
    said = json.loads(answer.headers["HX-Trigger"])
    assert said == {"toast": {"message": "hall has 5 W.", "kind": "ok"}, "live:lamps": {}, "live:jobs": {}}


async def test_what_is_wrong_names_its_field(answers: Answers) -> None:
    answer = await answers.ask("/lamps", method="POST", htmx=True, body=b"name=h&watts=x", Content_Type=FORM)
    assert answer.status_code == 422
    message = json.loads(answer.headers["HX-Trigger"])["toast"]["message"]
    assert "name: " in message
    assert "watts: " in message


async def test_headers_stay_ascii_whatever_is_said(answers: Answers) -> None:
    answer = await answers.ask("/lamps", method="POST", htmx=True, body=b"name=Fl%C3%BCr%0D%0AX", Content_Type=FORM)
    assert json.loads(answer.headers["HX-Trigger"])["toast"]["message"] == "Flür\r\nX has 5 W."


async def test_an_action_may_lead_elsewhere(answers: Answers) -> None:
    assert (await answers.ask("/away", method="POST", htmx=True)).headers["HX-Redirect"] == "/console/elsewhere"
    assert (await answers.ask("/away", method="POST")).headers["Location"] == "/console/elsewhere"


async def test_without_htmx_an_action_leads_back_to_its_page(answers: Answers) -> None:
    answer = await answers.ask("/lamps", method="POST", body=b"name=hall", Content_Type=FORM)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/lamps")


async def test_a_handler_knows_who_asks_what(answers: Answers) -> None:
    told = (await answers.ask("/lamps/a%20b?x=1&x=2&empty=", htmx=True)).json()
    assert told == {
        "query": {"x": "2"},
        "path": "a b",
        "fragment": True,
        "actor": "user:manager",
        "manager": True,
        "url": "/console/x",
    }


async def test_going_back_in_the_browser_gets_the_whole_page(answers: Answers) -> None:
    told = (await answers.ask("/lamps/x", htmx=True, HX_History_Restore_Request="true")).json()
    assert told["fragment"] is False


def test_values_are_checked_by_their_model() -> None:
    assert check(Lamp, {"name": "hall"}) == Lamp(name="hall")
    with pytest.raises(UnprocessableError) as error:
        check(Lamp, {"watts": "many"})
    assert sorted(fault.where for fault in error.value.faults) == ["name", "watts"]
