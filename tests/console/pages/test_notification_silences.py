"""The page of silences over HTTP."""

from typing import Any

import pytest

from signalbox.core.times import DAY, to_micros
from signalbox.notifications import silences
from signalbox.notifications.schemas import SilenceOut
from tests.console.conftest import SignedIn, Visitor, header, told
from tests.console.pages.test_notifications import EVIL, context_of, hub

__all__ = ["hub"]


async def active(somebody: Visitor) -> list[SilenceOut]:
    context = context_of(somebody)
    now = context.clock.now()
    return (await context.db.read(silences.list_silences, active=True, now=now, limit=9)).items


async def test_a_silence_is_made_and_ended(signed_in: SignedIn) -> None:
    somebody = await signed_in("manager")
    empty = await somebody.text("/notifications/silences")
    assert "Nothing is silenced" in empty
    assert "Make one with New silence." in empty
    answer = await somebody.act(
        "/notifications/silences", topic="Sales, task.*", app="shop", metadata="a.b=c", span="1d", reason=EVIL
    )
    assert header(answer, "HX-Redirect") == "/console/notifications/silences"
    made = (await active(somebody))[0]
    assert (made.author, made.matcher.topic, made.matcher.app) == ("user:manager", ["sales", "task.*"], "shop")
    assert made.matcher.metadata == {"a.b": "c"}
    assert to_micros(made.ends_at) - to_micros(made.starts_at) == DAY
    text = await somebody.text("/notifications/silences", htmx=True)
    assert "<img" not in text
    assert "&lt;img" in text
    ended = await somebody.act(f"/notifications/silences/{made.id}/end")
    assert told(ended)["toast"]["message"] == f"Silence {made.id} has ended."
    assert await active(somebody) == []
    assert "ended</span>" in await somebody.text("/notifications/silences?ended=1", htmx=True)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"reason": "no"}, "would silence every message"),
        ({"topic": "sales"}, "at least 1 character"),
        ({"topic": "sales", "reason": "no", "metadata": "x"}, "is no path=value"),
        ({"topic": "sales", "reason": "no", "span": "soon"}, "is not a span of time"),
    ],
)
async def test_a_form_that_is_wrong_says_so_and_keeps_what_was_written(
    signed_in: SignedIn, fields: dict[str, Any], reason: str
) -> None:
    somebody = await signed_in("manager")
    answer = await somebody.act("/notifications/silences", **fields)
    text = answer.body.decode()
    assert answer.status == 422
    assert reason in text
    assert await active(somebody) == []


@pytest.mark.parametrize("number", ["7", "x", "99999999999999999999"])
async def test_a_silence_that_is_not_there_does_not_end(signed_in: SignedIn, number: str) -> None:
    assert (await (await signed_in("manager")).act(f"/notifications/silences/{number}/end")).status == 404
