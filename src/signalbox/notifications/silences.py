"""Silences: messages that are not to be told for a time, by whom and why."""

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import Connection, delete, insert, select, update

from signalbox.auth import audit
from signalbox.core.pagination import Page, decode_cursor, to_page
from signalbox.core.times import DAY, to_datetime, to_micros
from signalbox.notifications.errors import InvalidSilenceError, SilenceNotFoundError
from signalbox.notifications.models import silence
from signalbox.notifications.routing import Labels, Matcher, to_matcher
from signalbox.notifications.schemas import SilenceIn, SilenceOut
from signalbox.notifications.settings import MatcherSettings
from signalbox.notifications.store import Obstacle, forget_obstacles

LONGEST = 3_650 * DAY

_c = silence.c


def find_reason(obstacles: Sequence[Obstacle], labels: Labels) -> str | None:
    """Why a message is silenced; None where it is not."""
    for each in obstacles:
        if each.kind == "silence" and _matcher(each.detail).fits(labels):
            return f"silence {each.name} by {each.author}: {each.reason}"
    return None


def list_silences(tx: Connection, *, active: bool, now: int, limit: int, cursor: str | None = None) -> Page[SilenceOut]:
    """One page of silences, newest first; with ``active`` those that have not ended.

    Raises:
        InvalidCursorError: the cursor was not made by this list.
    """
    query = select(silence).order_by(_c.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(_c.id < decode_cursor(cursor))
    if active:
        query = query.where(_c.ends_at > now)
    page = to_page(list(tx.execute(query).mappings()), limit, lambda row: int(row["id"]))
    return Page([_to_out(dict(row)) for row in page.items], page.next_cursor)


def add_silence(
    tx: Connection, wanted: SilenceIn, *, author: str, now: int, request_id: str | None = None
) -> SilenceOut:
    """Silence messages from now on, or from ``starts_at``.

    Raises:
        InvalidSilenceError: it would match every message, end before it begins, or in many years.
    """
    starts = now if wanted.starts_at is None else max(now, to_micros(wanted.starts_at))
    ends = to_micros(wanted.ends_at)
    if ends <= starts:
        msg = "a silence ends after it begins, and not in the past"
        raise InvalidSilenceError(msg)
    if ends > now + LONGEST:
        msg = f"a silence ends within {LONGEST // DAY} days; what is never to be told needs no route"
        raise InvalidSilenceError(msg)
    if wanted.matcher == MatcherSettings():
        msg = "this would silence every message; name a topic, a severity, an app or metadata"
        raise InvalidSilenceError(msg)
    row = {
        "matcher": wanted.matcher.model_dump_json(),
        "starts_at": starts,
        "ends_at": ends,
        "author": author,
        "reason": wanted.reason,
        "created_at": now,
    }
    forget_obstacles(tx)
    number = tx.execute(insert(silence).returning(_c.id), row).scalar_one()
    made = _to_out({**row, "id": number})
    _audit(tx, "silence.add", made, actor=author, now=now, request_id=request_id)
    return made


def end_silence(tx: Connection, number: int, *, actor: str, now: int, request_id: str | None = None) -> SilenceOut:
    """End a silence now.

    Raises:
        SilenceNotFoundError: there is none, or it has ended.
    """
    ended = update(silence).where(_c.id == number, _c.ends_at > now).values(ends_at=now).returning(*silence.c)
    forget_obstacles(tx)
    row = tx.execute(ended).mappings().first()
    if row is None:
        msg = f"there is no silence {number} that has not ended"
        raise SilenceNotFoundError(msg)
    found = _to_out(dict(row))
    _audit(tx, "silence.end", found, actor=actor, now=now, request_id=request_id)
    return found


def delete_silences(tx: Connection, *, older_than: int, limit: int) -> int:
    """Delete at most ``limit`` silences that ended before ``older_than``; how many it were."""
    aged = select(_c.id).where(_c.ends_at < older_than).order_by(_c.ends_at).limit(limit)
    return tx.execute(delete(silence).where(_c.id.in_(aged))).rowcount


@lru_cache(maxsize=256)
def _matcher(text: str) -> Matcher:
    return to_matcher(MatcherSettings.model_validate_json(text))


def _to_out(row: dict[str, object]) -> SilenceOut:
    times = {name: to_datetime(int(str(row[name]))) for name in ("starts_at", "ends_at", "created_at")}
    matcher = MatcherSettings.model_validate_json(str(row["matcher"]))
    return SilenceOut.model_validate({**row, **times, "matcher": matcher})


def _audit(tx: Connection, action: str, of: SilenceOut, *, actor: str, now: int, request_id: str | None) -> None:
    told = of.model_dump(mode="json")
    audit.record(
        tx,
        actor=actor,
        action=action,
        target=f"silence:{of.id}",
        before=None if action == "silence.add" else told,
        after=told if action == "silence.add" else None,
        at=now,
        request_id=request_id,
    )
