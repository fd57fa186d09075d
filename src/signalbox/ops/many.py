"""The same change of many things in one request: each succeeds or fails for itself."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from signalbox.core.errors import SignalboxError

MOST = 500
"""Things of one request: as many as one page shows."""


class ManyIn(BaseModel):
    """What is to be done with which."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["retry", "cancel"]
    ids: list[Annotated[int, Field(ge=1, le=2**63 - 1)]] = Field(min_length=1, max_length=MOST)


class ManyOut(BaseModel):
    """What became of one of them."""

    id: int
    done: bool
    code: str | None = Field(description="Why not, as in the problem details of a request for it alone")
    detail: str | None


def change_each(tx: Connection, ids: Sequence[int], change: Callable[[Connection, int], object]) -> list[ManyOut]:
    """Change things one by one, each in a savepoint of its own; what became of each, in the order of ``ids``.

    An id that is there twice is changed once. In ascending order, so that two who change the same do not deadlock.
    """
    results = {number: _change(tx, number, change) for number in sorted(set(ids))}
    return [results[number] for number in dict.fromkeys(ids)]


def _change(tx: Connection, number: int, change: Callable[[Connection, int], object]) -> ManyOut:
    try:
        with tx.begin_nested():
            change(tx, number)
    except SignalboxError as error:
        return ManyOut(id=number, done=False, code=error.code, detail=str(error))
    return ManyOut(id=number, done=True, code=None, detail=None)
