"""What the audit trail keeps of a change to what the grid is made of."""

from typing import Any, Protocol

from sqlalchemy import Connection

from signalbox.auth import audit


class Shown(Protocol):
    """A thing as the API shows it."""

    @property
    def id(self) -> int:
        """Its number."""
        ...

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Its fields, as Pydantic gives them."""
        ...


def note(
    tx: Connection,
    action: str,
    before: Shown | None,
    after: Shown | None,
    *,
    by: str,
    now: int,
    request_id: str | None,
) -> None:
    """Keep what ``by`` did at ``now`` (microseconds UTC); ``action`` is ``KIND.VERB``, of ``before`` and ``after`` one may be None.

    Raises:
        ValueError: both are.
    """
    thing = after or before
    if thing is None:
        msg = f"{action} of nothing"
        raise ValueError(msg)
    audit.record(
        tx,
        actor=by,
        action=action,
        target=f"{action.partition('.')[0]}:{thing.id}",
        before=None if before is None else before.model_dump(mode="json"),
        after=None if after is None else after.model_dump(mode="json"),
        at=now,
        request_id=request_id,
    )
