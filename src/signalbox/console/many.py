"""What is done with many rows of a table at once."""

from collections.abc import Callable, Sequence

from starlette.datastructures import FormData

from signalbox.console.visit import check
from signalbox.core.errors import Fault, UnprocessableError
from signalbox.ops.many import ManyIn, ManyOut

NAMED = 3
"""Refusals of which each is told; of more only how many there were."""


def read_many(form: FormData) -> ManyIn:
    """What is to be done with which: the ticked boxes ``ids`` and the button ``action``.

    Raises:
        UnprocessableError: nothing was ticked, or something is no number.
    """
    if "ids" not in form:
        raise UnprocessableError([Fault("ids", "tick what is meant first")])
    return check(ManyIn, {"action": form.get("action"), "ids": form.getlist("ids")})


def tell_many(results: Sequence[ManyOut], done: Callable[[int], str]) -> tuple[str, str]:
    """A sentence on what became of them, and its kind; ``done`` says how many could be changed."""
    refused = [each for each in results if not each.done]
    told = done(len(results) - len(refused))
    if not refused:
        return told, "ok"
    reasons = "; ".join(f"{each.id}: {each.detail}" for each in refused[:NAMED])
    more = f"; and {len(refused) - NAMED} more" if len(refused) > NAMED else ""
    return f"{told} Not: {reasons}{more}.", "warning"
