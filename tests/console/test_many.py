"""What is done with many rows at once."""

import pytest
from starlette.datastructures import FormData, UploadFile

from signalbox.console.many import read_many, tell_many
from signalbox.core.errors import UnprocessableError
from signalbox.ops.many import ManyOut


def out(number: int, detail: str | None = None) -> ManyOut:
    return ManyOut(id=number, done=detail is None, code=None, detail=detail)


def told(*results: ManyOut) -> tuple[str, str]:
    return tell_many(results, lambda count: f"{count} done.")


def test_the_ticked_boxes_are_read() -> None:
    wanted = read_many(FormData([("ids", "3"), ("action", "retry"), ("ids", "5")]))
    assert (wanted.action, wanted.ids) == ("retry", [3, 5])


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ([("action", "retry")], "tick what is meant first"),
        ([("action", "retry"), ("ids", "x")], "ids"),
        ([("action", "burn"), ("ids", "1")], "action"),
    ],
)
def test_what_means_nothing_is_refused(sent: list[tuple[str, str | UploadFile]], reason: str) -> None:
    with pytest.raises(UnprocessableError, match=reason):
        read_many(FormData(sent))


def test_refusals_are_told_with_their_reasons() -> None:
    assert told(out(1), out(2)) == ("2 done.", "ok")
    assert told(out(1), out(2, "it runs")) == ("1 done. Not: 2: it runs.", "warning")
    many = told(*(out(number, "gone") for number in range(5)))
    assert many == ("0 done. Not: 0: gone; 1: gone; 2: gone; and 2 more.", "warning")
